package ingress_test

import (
	"bytes"
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
	if _, err := dead.Redrive(within(t), letter.Sequence); !errors.Is(err, ingress.ErrUnfit) || !strings.Contains(err.Error(), "cannot be read") {
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
	desk.next().Settle(messages.Dead("no\nsuch order " + strings.Repeat("é", 2000)))
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
	d := &desk{t: t, deliveries: make(chan *messages.Delivery, 10), ran: make(chan error, 1)}
	d.open(js, ingress.Config{}, func(m *messages.Delivery) {
		if m.OrderID == "poison" {
			panic(errors.New("cannot happen"))
		}
		d.deliveries <- m
	})
	publish(t, js, "ORDER.poison", nil, created("poison"))
	publish(t, js, "ORDER.o", nil, created("o"))
	d.next().Settle(messages.Done())
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
	desk.next().Settle(messages.Done())
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

func TestDeadLettersAcrossARestart(t *testing.T) {
	b, js := ready(t)
	desk := openDesk(t, js, ingress.Config{})
	publish(t, js, "ORDER.o", nil, created("o"))
	d := desk.next()
	b.stop()
	d.Settle(messages.Dead("while nobody listens"))
	b.start()
	reconnected(t, js.Conn(), 1)
	eventually(t, "the message is terminated", func() bool {
		select {
		case again := <-desk.deliveries: // the dead letter could not be stored
			again.Settle(messages.Dead("while nobody listens"))
		default:
		}
		return stored(t, js, messages.StreamOrders) == 0
	})
	letters := buried(t, deadLetters(t, b.connect()), 1)
	if len(letters) != 1 {
		t.Errorf("%d dead letters of one message", len(letters))
	}
}

func TestAllAndGet(t *testing.T) {
	b, js := ready(t)
	openDesk(t, js, ingress.Config{})
	dead := deadLetters(t, b.connect())
	for _, id := range []string{"a", "b", "a"} {
		publish(t, js, "ORDER."+id, nil, "junk")
	}
	publish(t, js, "ORDER.b", nats.Header{messages.HeaderType: {"Strange"}}, "")
	buried(t, dead, 4)
	for name, c := range map[string]struct {
		filter ingress.DeadFilter
		want   []uint64
	}{
		"all":        {ingress.DeadFilter{}, []uint64{1, 2, 3, 4}},
		"an order":   {ingress.DeadFilter{OrderID: "a"}, []uint64{1, 3}},
		"a reason":   {ingress.DeadFilter{Reason: "STRANGE"}, []uint64{4}},
		"from":       {ingress.DeadFilter{From: 3}, []uint64{3, 4}},
		"everything": {ingress.DeadFilter{OrderID: "b", Reason: "protobuf", From: 2}, []uint64{2}},
		"nothing":    {ingress.DeadFilter{OrderID: "c"}, nil},
	} {
		var got []uint64
		for l, err := range dead.All(within(t), c.filter) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, l.Sequence)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v; want %v", name, got, c.want)
		}
	}
	if l, err := dead.Get(within(t), 2); err != nil || l.OrderID != "b" || time.Since(l.Stored) > patience {
		t.Errorf("got %+v, %v", l, err)
	}
	if _, err := dead.Get(within(t), 9); !errors.Is(err, ingress.ErrNoDeadLetter) {
		t.Errorf("got %v", err)
	}
}

// What somebody published by hand lies among the dead letters of the nodes: it is told as what it is, hides none of
// them, and goes nowhere.
func TestForeignDeadLetters(t *testing.T) {
	b, js := ready(t)
	dead := deadLetters(t, b.connect())
	whole := nats.Header{
		messages.HeaderDeadReason: {"too early"}, messages.HeaderDeadSubject: {"ORDER.o"},
		messages.HeaderDeadStream: {messages.StreamOrders}, messages.HeaderDeadSequence: {"7"},
	}
	but := func(name string, value ...string) nats.Header {
		h := maps.Clone(whole)
		if h[name] = value; value == nil {
			delete(h, name)
		}
		return h
	}
	const foreign = "no node stored this: "
	for i, c := range []struct {
		subject string
		header  nats.Header
		id      messages.OrderID
		reason  string
	}{
		{"o", nil, "o", foreign + "header Orderly-Dead-Reason is missing, header Orderly-Dead-Subject is missing, header Orderly-Dead-Stream is missing, header Orderly-Dead-Sequence is missing"},
		{"o", nats.Header{"X": {"1", "2"}}, "o", foreign + "header Orderly-Dead-Reason is missing, "},
		{"o", but(messages.HeaderDeadReason), "o", foreign + "header Orderly-Dead-Reason is missing"},
		{"o", but(messages.HeaderDeadSubject), "o", foreign + `header Orderly-Dead-Subject is missing; its reason: "too early"`},
		{"o", but(messages.HeaderDeadSubject, "ORDER_EVENT.o"), "o", foreign + `header Orderly-Dead-Subject is "ORDER_EVENT.o": want one of stream ORDERS; its reason: "too early"`},
		{"o", but(messages.HeaderDeadSubject, "ORDER.o.p"), "o", foreign + `header Orderly-Dead-Subject is "ORDER.o.p": want one of stream ORDERS; `},
		{"o", but(messages.HeaderDeadStream), "o", foreign + "header Orderly-Dead-Stream is missing; "},
		{"o", but(messages.HeaderDeadStream, "ORDER_EVENTS"), "o", foreign + `header Orderly-Dead-Stream is "ORDER_EVENTS": want ORDERS or ORDER_TIMERS; `},
		{"o", but(messages.HeaderDeadSequence, "0"), "o", foreign + `header Orderly-Dead-Sequence is "0": want a sequence; `},
		{"o", but(messages.HeaderDeadSequence, "seven"), "o", foreign + `header Orderly-Dead-Sequence is "seven": want a sequence; `},
		{"o", but("Orderly-Dead-Head", "99"), "o", foreign + `header Orderly-Dead-Head is "99": want a length within the body; `},
		{"o", but("Orderly-Dead-Head", "-1"), "o", foreign + `header Orderly-Dead-Head is "-1": want `},
		{"ö", whole, "", foreign + `its subject ends in no order id and not in "~"; its reason: "too early"`},
	} {
		subject := messages.SubjectDead + c.subject
		seq := publish(t, js, subject, c.header, "by hand")
		letters := buried(t, dead, i+1)
		l := letters[len(letters)-1]
		if !l.Foreign || l.OrderID != c.id || !strings.HasPrefix(l.Reason, c.reason) {
			t.Errorf("%d: got %+v, want one of order %q that says %s", seq, l, c.id, c.reason)
		}
		if l.Sequence != seq || l.Source != seq || l.Subject != subject || l.Stream != messages.StreamDead {
			t.Errorf("%d: it is told as message %d of %s on %s: want itself", seq, l.Source, l.Stream, l.Subject)
		}
		if string(l.Body) != "by hand" || !maps.EqualFunc(l.Header, c.header, slices.Equal) {
			t.Errorf("%d: body %q, header %v: want them as they are", seq, l.Body, l.Header)
		}
		if now, err := dead.Redrive(within(t), seq); now != 0 || !errors.Is(err, ingress.ErrUnfit) || !strings.Contains(err.Error(), l.Reason) {
			t.Errorf("%d: sent back as %d, error %v", seq, now, err)
		}
		if _, err := dead.Get(within(t), seq); err != nil {
			t.Error(err)
		}
	}
	raw := dial(t, b)
	raw.publish("ORDER_DEAD.o", "NATS/1.0\r\nno colon here\r\n\r\n", "by hand")
	if l := buried(t, dead, 14)[13]; !l.Foreign || l.Reason != foreign+"its headers cannot be read" || l.Header != nil || string(l.Body) != "by hand" {
		t.Errorf("got %+v", l)
	}
	openDesk(t, js, ingress.Config{})
	publish(t, js, "ORDER.o", nil, "junk")
	if l := buried(t, dead, 15)[14]; l.Foreign || l.Subject != "ORDER.o" {
		t.Errorf("got %+v", l)
	}
	if n := stored(t, js, messages.StreamEvents); n != 0 {
		t.Errorf("%d entries are in the journal", n)
	}
}

// Each dead letter is read when it is asked for, not before: what lies there may be more than a process can hold.
func TestAllReadsNothingAhead(t *testing.T) {
	b, js := ready(t)
	openDesk(t, js, ingress.Config{})
	dead := deadLetters(t, b.connect())
	for range 3 {
		publish(t, js, "ORDER.o", nil, "junk")
	}
	buried(t, dead, 3)
	letters, err := js.Stream(within(t), messages.StreamDead)
	if err != nil {
		t.Fatal(err)
	}
	var got []uint64
	for l, err := range dead.All(within(t), ingress.DeadFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, l.Sequence); l.Sequence == 1 {
			if err := letters.DeleteMsg(within(t), 2); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !slices.Equal(got, []uint64{1, 3}) {
		t.Errorf("got %v", got)
	}
	for _, err := range dead.All(within(t), ingress.DeadFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		break // whoever has enough is not asked again
	}
	if err := js.DeleteStream(within(t), messages.StreamDead); err != nil {
		t.Fatal(err)
	}
	yielded := 0
	for l, err := range dead.All(within(t), ingress.DeadFilter{}) {
		if yielded++; l != nil || err == nil || !strings.HasPrefix(err.Error(), "list dead letters: ") {
			t.Errorf("got %+v, %v", l, err)
		}
	}
	if yielded != 1 {
		t.Errorf("%d were yielded: want the error", yielded)
	}
}

func TestRedrive(t *testing.T) {
	b, js := ready(t)
	desk := openDesk(t, js, ingress.Config{})
	dead := deadLetters(t, b.connect())
	header := nats.Header{"traceparent": {"tp"}, nats.MsgIdHdr: {"o"}, nats.ExpectedLastSeqHdr: {"0"}, "X": {"y"}}
	publish(t, js, "ORDER.o", header, created("o"))
	desk.next().Settle(messages.Dead("too early"))
	buried(t, dead, 1)
	emptied(t, js, messages.StreamOrders)
	seq, err := dead.Redrive(within(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	d := desk.next()
	if d.Sequence != seq || d.Traceparent != "tp" || d.Created.GetOrderId() != "o" {
		t.Errorf("got %+v", d)
	}
	if _, err := dead.Get(within(t), 1); !errors.Is(err, ingress.ErrNoDeadLetter) {
		t.Errorf("the dead letter is still there: %v", err)
	}
	d.Settle(messages.Dead("still too early"))
	if letters := buried(t, dead, 1); letters[0].Sequence != 2 || letters[0].Reason != "still too early" || letters[0].Source != seq {
		t.Errorf("got %+v", letters[0])
	}
	if _, err := dead.Redrive(within(t), 1); !errors.Is(err, ingress.ErrNoDeadLetter) {
		t.Errorf("got %v", err)
	}
}

// A crash between sending back and deleting must not deliver the message twice.
func TestRedriveAgainAfterACrash(t *testing.T) {
	b, js := ready(t)
	desk := openDesk(t, js, ingress.Config{})
	dead := deadLetters(t, b.connect())
	publish(t, js, "ORDER.o", nil, created("o"))
	desk.next().Settle(messages.Dead("too early"))
	letter := buried(t, dead, 1)[0]
	// What a redrive does before it deletes.
	id := fmt.Sprintf("redrive:%d:%d", letter.Sequence, letter.Stored.UnixNano())
	publish(t, js, letter.Subject, nats.Header{nats.MsgIdHdr: {id}}, string(letter.Body))
	desk.next().Settle(messages.Done())
	if _, err := dead.Redrive(within(t), letter.Sequence); err != nil {
		t.Fatal(err)
	}
	desk.none(200 * time.Millisecond)
	emptied(t, js, messages.StreamDead)
}

func TestRedriveKeepsTheDeadLetterWhenNobodyTakesIt(t *testing.T) {
	b, js := ready(t)
	desk := openDesk(t, js, ingress.Config{})
	dead := deadLetters(t, b.connect())
	publish(t, js, "ORDER.o", nil, created("o"))
	desk.next().Settle(messages.Dead("too early"))
	buried(t, dead, 1)
	if err := js.DeleteStream(within(t), messages.StreamOrders); err != nil {
		t.Fatal(err)
	}
	if _, err := dead.Redrive(within(t), 1); !errors.Is(err, ingress.ErrNoStream) || errors.Is(err, ingress.ErrUnfit) {
		t.Errorf("got %v", err)
	}
	if l, err := dead.Get(within(t), 1); err != nil || !bytes.Equal(l.Body, []byte(created("o"))) {
		t.Errorf("got %v, %v", l, err)
	}
}

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
	held.Settle(messages.Dead("no such order"))
	again := desk.next()
	if again.Sequence != held.Sequence {
		t.Fatalf("message %d comes, want %d again", again.Sequence, held.Sequence)
	}
	if n := stored(t, js, messages.StreamDead); n != 0 {
		t.Errorf("%d dead letters", n)
	}
	again.Settle(messages.Dead("no such order"))
	buried(t, deadLetters(t, b.connect()), 1)
	emptied(t, js, messages.StreamOrders)
}
