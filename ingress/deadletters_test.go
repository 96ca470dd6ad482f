package ingress_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

func TestDeadLettersAcrossARestart(t *testing.T) {
	b, js := patient(t) // however long the server takes, it does not deliver the message again while it is buried
	desk := openDesk(t, js, ingress.Config{})
	publish(t, js, "ORDER.o", nil, created("o"))
	d := desk.next()
	b.stop()
	d.Settle(delivery.Dead("while nobody listens"))
	b.start()
	reconnected(t, js.Conn(), 1)
	eventually(t, "the message is terminated", func() bool {
		select {
		case again := <-desk.deliveries: // the dead letter could not be stored
			again.Settle(delivery.Dead("while nobody listens"))
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
		if now, err := dead.Redrive(within(t), seq); now != 0 || !errors.Is(err, ingress.ErrNotRedrivable) || !strings.Contains(err.Error(), l.Reason) {
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
	desk.next().Settle(delivery.Dead("too early"))
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
	d.Settle(delivery.Dead("still too early"))
	if letters := buried(t, dead, 1); letters[0].Sequence != 2 || letters[0].Reason != "still too early" || letters[0].Source != seq {
		t.Errorf("got %+v", letters[0])
	}
	if _, err := dead.Redrive(within(t), 1); !errors.Is(err, ingress.ErrNoDeadLetter) {
		t.Errorf("got %v", err)
	}
}

func TestRedriveAgainAfterACrash(t *testing.T) {
	b, js := ready(t)
	desk := openDesk(t, js, ingress.Config{})
	dead := deadLetters(t, b.connect())
	publish(t, js, "ORDER.o", nil, created("o"))
	desk.next().Settle(delivery.Dead("too early"))
	letter := buried(t, dead, 1)[0]
	// What a redrive does before it deletes.
	id := fmt.Sprintf("redrive:%d:%d", letter.Sequence, letter.Stored.UnixNano())
	publish(t, js, letter.Subject, nats.Header{nats.MsgIdHdr: {id}}, string(letter.Body))
	desk.next().Settle(delivery.Done())
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
	desk.next().Settle(delivery.Dead("too early"))
	buried(t, dead, 1)
	if err := js.DeleteStream(within(t), messages.StreamOrders); err != nil {
		t.Fatal(err)
	}
	if _, err := dead.Redrive(within(t), 1); !errors.Is(err, ingress.ErrNoStream) || errors.Is(err, ingress.ErrNotRedrivable) {
		t.Errorf("got %v", err)
	}
	if l, err := dead.Get(within(t), 1); err != nil || !bytes.Equal(l.Body, []byte(created("o"))) {
		t.Errorf("got %v, %v", l, err)
	}
}
