package ingress_test

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

func deadLetters(t testing.TB, nc *nats.Conn) *ingress.DeadLetters {
	t.Helper()
	d, err := ingress.NewDeadLetters(jetStream(t, nc))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// buried waits for so many dead letters.
func buried(t testing.TB, dead *ingress.DeadLetters, count int) []*ingress.DeadLetter {
	t.Helper()
	var letters []*ingress.DeadLetter
	eventually(t, fmt.Sprintf("%d dead letters", count), func() bool {
		letters = nil
		for l, err := range dead.All(within(t), ingress.DeadFilter{}) {
			if err != nil {
				t.Fatal(err)
			}
			letters = append(letters, l)
		}
		return len(letters) >= count
	})
	return letters
}

func wire(t testing.TB, m proto.Message) string {
	t.Helper()
	body, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestJunkIsBuried(t *testing.T) {
	b, js := ready(t)
	desk := openDesk(t, js, ingress.Config{})
	dead := deadLetters(t, b.connect())
	kind := func(k messages.Type) nats.Header { return nats.Header{messages.HeaderType: {string(k)}} }
	longID := strings.Repeat("x", 65)
	var count int
	for name, c := range map[string]struct {
		subject string
		header  nats.Header
		body    string
		id      messages.OrderID
		reason  string
	}{
		"no protobuf":            {"ORDER.o", nil, "junk", "o", "not a protobuf OrderCreated"},
		"no JSON":                {"ORDER.o", nil, "{junk\x00", "o", "not a JSON OrderCreated"},
		"no body":                {"ORDER.o", nil, "", "o", "body is empty"},
		"unknown field":          {"ORDER.o", nil, `{"order_id":"o","total":3}`, "o", `"total"`},
		"another id":             {"ORDER.o", nil, created("p"), "o", `order_id is "p" and the subject ends in "o"`},
		"id of the subject":      {"ORDER.ö", nil, created("ö"), "", "outside A–Z"},
		"id too long":            {"ORDER." + longID, nil, created(longID), "", "65 characters"},
		"unknown type":           {"ORDER.o", kind("order.refund"), "{}", "o", `"order.refund": want order.created`},
		"a wake-up in the inbox": {"ORDER.o", kind(messages.TypeWake), "", "o", `"order.wake"`},
		"type in another case":   {"ORDER.o", kind("Order.Created"), created("o"), "o", "Order.Created"},
		"too large":              {"ORDER.o", nil, strings.Repeat(" ", messages.MaxBody+1), "o", "262145 bytes"},
		"skip of no way":         {"ORDER.o", kind(messages.TypeSkip), `{"direction":"both"}`, "o", "want do, undo or none"},
		"nameless signal":        {"ORDER.o", kind(messages.TypeSignal), "", "o", "has no name"},
		"signal of no number": {"ORDER.o", kind(messages.TypeSignal), wire(t, &messages.SignalOrder{Name: "s",
			Data: structpb.NewNumberValue(math.NaN())}), "o", "not finite"},
		"control characters":           {"ORDER.o", kind("a\tb\x01"), "", "o", "order.created"},
		"like a word of the server":    {"ORDER.o", nats.Header{"Status": {"409"}, "Description": {"Consumer Deleted"}}, "", "o", "body is empty"},
		"like a heartbeat":             {"ORDER.o", nats.Header{"Status": {"100"}}, "", "o", "body is empty"},
		"like a time-out":              {"ORDER.o", nats.Header{"Status": {"408"}, "Nats-Pending-Messages": {"1000"}}, "", "o", "body is empty"},
		"a wake-up without a park":     {"ORDER_WAKE.o", nil, "", "o", `Orderly-Park of a wake-up is ""`},
		"a wake-up with a strange one": {"ORDER_WAKE.o", nats.Header{messages.HeaderPark: {"-1"}}, "", "o", `Orderly-Park of a wake-up is "-1"`},
		"a wake-up for nobody":         {"ORDER_WAKE.~", nats.Header{messages.HeaderPark: {"1"}}, "", "", "outside A–Z"},
	} {
		count++
		seq := publish(t, js, c.subject, c.header, c.body)
		letters := buried(t, dead, count)
		letter := letters[len(letters)-1]
		if letter.OrderID != c.id || letter.Subject != c.subject || letter.Source != seq || !strings.Contains(letter.Reason, c.reason) {
			t.Errorf("%s: got %+v", name, letter)
		}
		if string(letter.Body) != c.body || !maps.EqualFunc(letter.Header, c.header, slices.Equal) {
			t.Errorf("%s: body of %d bytes and header %v", name, len(letter.Body), letter.Header)
		}
		if strings.ContainsAny(letter.Reason, "\n\r\t\x01") {
			t.Errorf("%s: the reason is no line: %q", name, letter.Reason)
		}
		wantStream := messages.StreamOrders
		if strings.HasPrefix(c.subject, messages.SubjectWake) {
			wantStream = messages.StreamTimers
		}
		if letter.Stream != wantStream {
			t.Errorf("%s: from %s", name, letter.Stream)
		}
	}
	emptied(t, js, messages.StreamOrders)
	emptied(t, js, messages.StreamTimers)
	desk.none(0)
	publish(t, js, "ORDER.good", nil, created("good"))
	if d := desk.next(); d.OrderID != "good" || d.Invalid != nil {
		t.Errorf("got %+v", d)
	}
}

// Headers that no client library would write are neither lost nor harmful.
func TestUnreadableHeaders(t *testing.T) {
	b, js := ready(t)
	openDesk(t, js, ingress.Config{})
	dead := deadLetters(t, b.connect())
	raw := dial(t, b)
	block := "NATS/1.0\r\nno colon here\r\n\r\n"
	raw.publish("ORDER.o", block, created("o"))
	letter := buried(t, dead, 1)[0]
	if letter.Reason != "the headers cannot be read" || string(letter.Body) != created("o") || letter.Header != nil {
		t.Errorf("got %+v", letter)
	}
	if _, err := dead.Redrive(within(t), letter.Sequence); !errors.Is(err, ingress.ErrNotRedrivable) || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("got %v", err)
	}

	raw.publish("ORDER.p", "NATS/1.0\r\na (strange) name: v\r\nOrderly-Type: junk\r\n\r\n", "body")
	letter = buried(t, dead, 2)[1]
	if letter.Header["a (strange) name"][0] != "v" || string(letter.Body) != "body" {
		t.Errorf("got %+v", letter)
	}

	big := nats.Header{"Orderly-Type": {"junk"}, "Big": {strings.Repeat("b", 60<<10)}}
	publish(t, js, "ORDER.q", big, "body")
	letter = buried(t, dead, 3)[2]
	if !maps.EqualFunc(letter.Header, big, slices.Equal) || string(letter.Body) != "body" {
		t.Errorf("the large header is lost, the body is %q", letter.Body)
	}
	emptied(t, js, messages.StreamOrders)
}

func TestRefusedDeliveriesAreBuried(t *testing.T) {
	b, js := ready(t)
	desk := openDesk(t, js, ingress.Config{})
	dead := deadLetters(t, b.connect())
	publish(t, js, "ORDER.o", nats.Header{"X": {"1", "2"}}, created("o"))
	desk.next().Settle(delivery.Dead("no\nsuch order " + strings.Repeat("é", 2000)))
	letter := buried(t, dead, 1)[0]
	if !strings.HasPrefix(letter.Reason, "no such order éé") || len(letter.Reason) > 1024 {
		t.Errorf("reason %q", letter.Reason)
	}
	if string(letter.Body) != created("o") || !slices.Equal(letter.Header["X"], []string{"1", "2"}) {
		t.Errorf("got %+v", letter)
	}
	emptied(t, js, messages.StreamOrders)
}

func TestPanicIsBuried(t *testing.T) {
	b, js := ready(t)
	d := &desk{t: t, deliveries: make(chan *delivery.Delivery, 10), ran: make(chan error, 1)}
	d.open(js, ingress.Config{}, func(m *delivery.Delivery) {
		if m.OrderID == "poison" {
			panic(errors.New("cannot happen"))
		}
		d.deliveries <- m
	})
	publish(t, js, "ORDER.poison", nil, created("poison"))
	publish(t, js, "ORDER.o", nil, created("o"))
	d.next().Settle(delivery.Done())
	if letter := buried(t, deadLetters(t, b.connect()), 1)[0]; letter.Reason != "poison: cannot happen" {
		t.Errorf("got %+v", letter)
	}
	emptied(t, js, messages.StreamOrders)
}

// A message is terminated only when its dead letter is stored.
func TestBuriedBeforeTerminated(t *testing.T) {
	b, js := ready(t)
	desk := openDesk(t, js, ingress.Config{})
	if err := js.DeleteStream(within(t), messages.StreamDead); err != nil {
		t.Fatal(err)
	}
	junk := publish(t, js, "ORDER.junk", nil, "junk")
	eventually(t, "the message is delivered", func() bool { return consumer(t, js).Delivered.Consumer >= 1 })
	publish(t, js, "ORDER.o", nil, created("o")) // nobody waits for the dead letter
	desk.next().Settle(delivery.Done())
	eventually(t, "the message is delivered again", func() bool { return consumer(t, js).NumRedelivered == 1 })
	if still, err := ingress.NewLookup(js).Stored(within(t), messages.StreamOrders, junk); err != nil || !still {
		t.Fatalf("error %v: the message is gone, and its dead letter is not stored", err)
	}
	ensure(t, js)
	letters := buried(t, deadLetters(t, b.connect()), 1)
	emptied(t, js, messages.StreamOrders)
	if len(letters) != 1 || string(letters[0].Body) != "junk" {
		t.Errorf("got %d dead letters", len(letters))
	}
}

// What somebody published by hand lies among the dead letters of the nodes: it is told as what it is, hides none of
// them, and goes nowhere.
// Each dead letter is read when it is asked for, not before: what lies there may be more than a process can hold.
// A crash between sending back and deleting must not deliver the message twice.
// A server that was away may have forgotten a delivery, and given the message to another node: who still holds it buries
// nothing.
func TestNothingIsBuriedAcrossConnections(t *testing.T) {
	b, js := ready(t)
	desk := openDesk(t, js, ingress.Config{AckWait: 2 * time.Second})
	publish(t, js, "ORDER.o", nil, created("o"))
	held := desk.next()
	b.stop()
	b.start()
	reconnected(t, js.Conn(), 1)
	held.Settle(delivery.Dead("no such order"))
	again := desk.next()
	if again.Sequence != held.Sequence {
		t.Fatalf("message %d comes, want %d again", again.Sequence, held.Sequence)
	}
	if n := stored(t, js, messages.StreamDead); n != 0 {
		t.Errorf("%d dead letters", n)
	}
	again.Settle(delivery.Dead("no such order"))
	buried(t, deadLetters(t, b.connect()), 1)
	emptied(t, js, messages.StreamOrders)
}
