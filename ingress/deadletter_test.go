package ingress_test

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// waitDeadLetters waits until at least count dead letters are stored and returns them all.
func waitDeadLetters(t testing.TB, dead *ingress.DeadLetters, count int) []*ingress.DeadLetter {
	t.Helper()
	var all []*ingress.DeadLetter
	natstest.Eventually(t, fmt.Sprintf("%d dead letters", count), func() bool {
		all = nil
		for d, err := range dead.All(natstest.Context(t), ingress.DeadFilter{}) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, d)
		}
		return len(all) >= count
	})
	return all
}

// publishRaw publishes a message with a header block that no client library would send.
func publishRaw(t testing.TB, s *natstest.Server, subject, block, body string) {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\n")
	fmt.Fprintf(conn, "HPUB %s %d %d\r\n%s%s\r\nPING\r\n", subject, len(block), len(block)+len(body), block, body)
	for in := bufio.NewScanner(conn); in.Scan(); {
		if line := in.Text(); line == "PONG" {
			return
		} else if strings.HasPrefix(line, "-ERR") {
			t.Fatal(line)
		}
	}
	t.Fatal("the server closed the connection")
}

func TestInvalidMessagesBecomeDeadLetters(t *testing.T) {
	_, js := startServer(t)
	in := startInbox(t, js, ingress.Config{})
	dead := ingress.NewDeadLetters(js)
	ofType := func(k messages.Type) nats.Header { return nats.Header{messages.HeaderType: {string(k)}} }
	longID := strings.Repeat("x", 65)
	notANumber, err := proto.Marshal(&messages.SignalOrder{Name: "s", Data: "NaN"})
	if err != nil {
		t.Fatal(err)
	}
	var count int
	for name, c := range map[string]struct {
		subject string
		header  nats.Header
		body    string
		id      messages.OrderID
		reason  string
	}{
		"invalid protobuf":               {"ORDER.o", nil, "junk", "o", "not a protobuf OrderCreated"},
		"invalid JSON":                   {"ORDER.o", nil, "{junk\x00", "o", "not a JSON OrderCreated"},
		"empty body":                     {"ORDER.o", nil, "", "o", "body is empty"},
		"unknown field":                  {"ORDER.o", nil, `{"order_id":"o","total":3}`, "o", `"total"`},
		"mismatched id":                  {"ORDER.o", nil, orderJSON("p"), "o", `order_id is "p" and the subject ends in "o"`},
		"invalid id":                     {"ORDER.ö", nil, orderJSON("ö"), "", "outside A–Z"},
		"id too long":                    {"ORDER." + longID, nil, orderJSON(longID), "", "65 characters"},
		"unknown type":                   {"ORDER.o", ofType("order.refund"), "{}", "o", `"order.refund": want order.created`},
		"wake-up in the inbox":           {"ORDER.o", ofType(messages.TypeWake), "", "o", `"order.wake"`},
		"type in upper case":             {"ORDER.o", ofType("Order.Created"), orderJSON("o"), "o", "Order.Created"},
		"body too large":                 {"ORDER.o", nil, strings.Repeat(" ", messages.MaxBody+1), "o", "262145 bytes"},
		"skip with an invalid direction": {"ORDER.o", ofType(messages.TypeSkip), `{"direction":"both"}`, "o", "want do, undo or none"},
		"signal without a name":          {"ORDER.o", ofType(messages.TypeSignal), "", "o", "has no name"},
		"signal with NaN":                {"ORDER.o", ofType(messages.TypeSignal), string(notANumber), "o", "is not JSON"},
		"control characters":             {"ORDER.o", ofType("a\tb\x01"), "", "o", "order.created"},
		"looks like a deleted consumer":  {"ORDER.o", nats.Header{"Status": {"409"}, "Description": {"Consumer Deleted"}}, "", "o", "body is empty"},
		"looks like a heartbeat":         {"ORDER.o", nats.Header{"Status": {"100"}}, "", "o", "body is empty"},
		"looks like a timeout":           {"ORDER.o", nats.Header{"Status": {"408"}, "Nats-Pending-Messages": {"1000"}}, "", "o", "body is empty"},
		"wake-up without a park":         {"ORDER_WAKE.o", nil, "", "o", `Orderly-Park of a wake-up is ""`},
		"wake-up with an invalid park":   {"ORDER_WAKE.o", nats.Header{messages.HeaderPark: {"-1"}}, "", "o", `Orderly-Park of a wake-up is "-1"`},
		"wake-up with an invalid id":     {"ORDER_WAKE.~", nats.Header{messages.HeaderPark: {"1"}}, "", "", "outside A–Z"},
	} {
		count++
		seq := storeMsg(t, js, c.subject, c.header, c.body)
		all := waitDeadLetters(t, dead, count)
		d := all[len(all)-1]
		if d.OrderID != c.id || d.Subject != c.subject || d.Source != seq || !strings.Contains(d.Reason, c.reason) {
			t.Errorf("%s: got %+v", name, d)
		}
		if string(d.Body) != c.body || !maps.EqualFunc(d.Header, c.header, slices.Equal) {
			t.Errorf("%s: body of %d bytes and header %v", name, len(d.Body), d.Header)
		}
		if strings.ContainsAny(d.Reason, "\n\r\t\x01") {
			t.Errorf("%s: the reason has control characters: %q", name, d.Reason)
		}
		wantStream := messages.StreamOrders
		if strings.HasPrefix(c.subject, messages.SubjectWake) {
			wantStream = messages.StreamTimers
		}
		if d.Stream != wantStream {
			t.Errorf("%s: from stream %s, want %s", name, d.Stream, wantStream)
		}
	}
	waitEmpty(t, js, messages.StreamOrders)
	waitEmpty(t, js, messages.StreamTimers)
	in.expectNone(0)
	storeOrder(t, js, "valid")
	if d := in.next(); d.OrderID != "valid" || d.Invalid != nil {
		t.Errorf("got %+v", d)
	}
}

// Header blocks that no client library sends are kept, and have no effect on the dead letter.
func TestDeadLettersKeepUnusualHeaders(t *testing.T) {
	s, js := startServer(t)
	startInbox(t, js, ingress.Config{})
	dead := ingress.NewDeadLetters(js)
	publishRaw(t, s, "ORDER.o", "NATS/1.0\r\nno colon here\r\n\r\n", orderJSON("o"))
	d := waitDeadLetters(t, dead, 1)[0]
	if d.Reason != "unreadable headers" || string(d.Body) != orderJSON("o") || d.Header != nil {
		t.Errorf("got %+v", d)
	}
	if _, err := dead.Redrive(natstest.Context(t), d.Sequence); !errors.Is(err, ingress.ErrNotRedrivable) || !strings.Contains(err.Error(), "unreadable headers") {
		t.Errorf("got %v", err)
	}

	publishRaw(t, s, "ORDER.p", "NATS/1.0\r\na (strange) name: v\r\nOrderly-Type: junk\r\n\r\n", "body")
	d = waitDeadLetters(t, dead, 2)[1]
	if d.Header["a (strange) name"][0] != "v" || string(d.Body) != "body" {
		t.Errorf("got %+v", d)
	}

	large := nats.Header{"Orderly-Type": {"junk"}, "Large": {strings.Repeat("b", 60<<10)}}
	storeMsg(t, js, "ORDER.q", large, "body")
	d = waitDeadLetters(t, dead, 3)[2]
	if !maps.EqualFunc(d.Header, large, slices.Equal) || string(d.Body) != "body" {
		t.Errorf("the large header is lost, the body is %q", d.Body)
	}
	waitEmpty(t, js, messages.StreamOrders)
}

func TestSettledDeadBecomesDeadLetter(t *testing.T) {
	_, js := startServer(t)
	in := startInbox(t, js, ingress.Config{})
	storeMsg(t, js, "ORDER.o", nats.Header{"X": {"1", "2"}}, orderJSON("o"))
	in.next().Settle(delivery.Dead("no\nsuch order " + strings.Repeat("é", 2000)))
	d := waitDeadLetters(t, ingress.NewDeadLetters(js), 1)[0]
	if !strings.HasPrefix(d.Reason, "no such order éé") || len(d.Reason) > 1024 {
		t.Errorf("reason %q", d.Reason)
	}
	if string(d.Body) != orderJSON("o") || !slices.Equal(d.Header["X"], []string{"1", "2"}) {
		t.Errorf("got %+v", d)
	}
	waitEmpty(t, js, messages.StreamOrders)
}

func TestPanicBecomesDeadLetter(t *testing.T) {
	_, js := startServer(t)
	delivered := make(chan *delivery.Delivery, 10)
	startInboxFunc(t, js, ingress.Config{}, func(d *delivery.Delivery) {
		if d.OrderID == "poison" {
			panic(errors.New("cannot happen"))
		}
		delivered <- d
	})
	storeOrder(t, js, "poison")
	storeOrder(t, js, "o")
	natstest.Receive(t, delivered, "the second order").Settle(delivery.Done())
	if d := waitDeadLetters(t, ingress.NewDeadLetters(js), 1)[0]; d.Reason != "poison: cannot happen" {
		t.Errorf("got %+v", d)
	}
	waitEmpty(t, js, messages.StreamOrders)
}

// A message is terminated only after its dead letter is stored, and a dead letter that cannot be stored blocks no order.
func TestDeadLetterIsStoredBeforeItsMessageIsTerminated(t *testing.T) {
	_, js := startServer(t)
	in := startInbox(t, js, ingress.Config{})
	if err := js.DeleteStream(natstest.Context(t), messages.StreamDead); err != nil {
		t.Fatal(err)
	}
	junk := storeMsg(t, js, "ORDER.junk", nil, "junk")
	natstest.Eventually(t, "the message is delivered", func() bool { return consumerInfo(t, js).Delivered.Consumer >= 1 })
	storeOrder(t, js, "o")
	in.next().Settle(delivery.Done())
	natstest.Eventually(t, "the message is redelivered", func() bool { return consumerInfo(t, js).NumRedelivered == 1 })
	if _, err := openStream(t, js, messages.StreamOrders).GetMsg(natstest.Context(t), junk); err != nil {
		t.Fatalf("the message is removed before its dead letter is stored: %v", err)
	}
	ensureStreams(t, js, testAckWait)
	all := waitDeadLetters(t, ingress.NewDeadLetters(js), 1)
	waitEmpty(t, js, messages.StreamOrders)
	if len(all) != 1 || string(all[0].Body) != "junk" {
		t.Errorf("got %d dead letters", len(all))
	}
}

// A restarted server may have forgotten a delivery and have given the message to another node, so nothing that was delivered
// over an earlier connection is dead-lettered.
func TestNoDeadLetterAcrossConnections(t *testing.T) {
	s, js := startServer(t)
	in := startInbox(t, js, ingress.Config{AckWait: 2 * time.Second})
	storeOrder(t, js, "o")
	held := in.next()
	s.Stop()
	s.Start()
	waitReconnected(t, js.Conn(), 1)
	held.Settle(delivery.Dead("no such order"))
	again := in.next()
	if again.Sequence != held.Sequence {
		t.Fatalf("got message %d, want a redelivery of %d", again.Sequence, held.Sequence)
	}
	if n := countStored(t, js, messages.StreamDead); n != 0 {
		t.Errorf("%d dead letters", n)
	}
	again.Settle(delivery.Dead("no such order"))
	waitDeadLetters(t, ingress.NewDeadLetters(js), 1)
	waitEmpty(t, js, messages.StreamOrders)
}

// A node that died before it terminated the message has stored the dead letter already.
func TestRedeliveredMessageHasOneDeadLetter(t *testing.T) {
	_, js := startServer(t)
	seq := storeMsg(t, js, "ORDER.o", nil, "junk")
	m, err := openStream(t, js, messages.StreamOrders).GetMsg(natstest.Context(t), seq)
	if err != nil {
		t.Fatal(err)
	}
	id := fmt.Sprintf("%s:%d:%d", messages.StreamOrders, seq, m.Time.UnixNano())
	storeMsg(t, js, messages.SubjectDead+"o", nats.Header{nats.MsgIdHdr: {id}}, "junk")
	startInbox(t, js, ingress.Config{})
	waitEmpty(t, js, messages.StreamOrders)
	if n := countStored(t, js, messages.StreamDead); n != 1 {
		t.Errorf("%d dead letters of one message", n)
	}
}

func TestOneDeadLetterAcrossServerRestart(t *testing.T) {
	s, js := startServer(t)
	in := startInbox(t, js, ingress.Config{})
	storeOrder(t, js, "o")
	d := in.next()
	s.Stop()
	d.Settle(delivery.Dead("while the server is down"))
	s.Start()
	waitReconnected(t, js.Conn(), 1)
	natstest.Eventually(t, "the message is terminated", func() bool {
		select {
		case again := <-in.deliveries: // the dead letter could not be stored
			again.Settle(delivery.Dead("while the server is down"))
		default:
		}
		return countStored(t, js, messages.StreamOrders) == 0
	})
	if all := waitDeadLetters(t, ingress.NewDeadLetters(js), 1); len(all) != 1 {
		t.Errorf("%d dead letters of one message", len(all))
	}
}
