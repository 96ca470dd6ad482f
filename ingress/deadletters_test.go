package ingress_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
)

func TestAllAndGet(t *testing.T) {
	_, js := startServer(t)
	startInbox(t, js, ingress.Config{})
	dead := ingress.NewDeadLetters(js)
	for _, id := range []string{"a", "b", "a"} {
		storeMsg(t, js, "ORDER."+id, nil, "junk")
	}
	storeMsg(t, js, "ORDER.b", nats.Header{messages.HeaderType: {"Strange"}}, "")
	waitDeadLetters(t, dead, 4)
	for name, c := range map[string]struct {
		filter ingress.DeadFilter
		want   []uint64
	}{
		"no filter":   {ingress.DeadFilter{}, []uint64{1, 2, 3, 4}},
		"order":       {ingress.DeadFilter{OrderID: "a"}, []uint64{1, 3}},
		"reason":      {ingress.DeadFilter{Reason: "STRANGE"}, []uint64{4}},
		"from":        {ingress.DeadFilter{From: 3}, []uint64{3, 4}},
		"all filters": {ingress.DeadFilter{OrderID: "b", Reason: "protobuf", From: 2}, []uint64{2}},
		"no match":    {ingress.DeadFilter{OrderID: "c"}, nil},
	} {
		var got []uint64
		for d, err := range dead.All(natstest.Context(t), c.filter) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, d.Sequence)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v; want %v", name, got, c.want)
		}
	}
	if d, err := dead.Get(natstest.Context(t), 2); err != nil || d.OrderID != "b" || time.Since(d.Stored) > natstest.Patience {
		t.Errorf("got %+v, %v", d, err)
	}
	if _, err := dead.Get(natstest.Context(t), 9); !errors.Is(err, ingress.ErrNoDeadLetter) {
		t.Errorf("got %v", err)
	}
}

// A message that a client published to the dead-letter stream is reported as foreign, hides no dead letter of a node, and
// cannot be redriven.
func TestForeignDeadLetters(t *testing.T) {
	s, js := startServer(t)
	dead := ingress.NewDeadLetters(js)
	valid := nats.Header{
		messages.HeaderDeadReason: {"too early"}, messages.HeaderDeadSubject: {"ORDER.o"},
		messages.HeaderDeadStream: {messages.StreamOrders}, messages.HeaderDeadSequence: {"7"},
	}
	with := func(name string, value ...string) nats.Header {
		h := maps.Clone(valid)
		if h[name] = value; value == nil {
			delete(h, name)
		}
		return h
	}
	const foreign = "no node stored this: "
	for i, c := range []struct {
		id     string
		header nats.Header
		wantID messages.OrderID
		reason string
	}{
		{"o", nil, "o", "header Orderly-Dead-Reason is missing, header Orderly-Dead-Subject is missing, header Orderly-Dead-Stream is missing, header Orderly-Dead-Sequence is missing"},
		{"o", nats.Header{"X": {"1", "2"}}, "o", "header Orderly-Dead-Reason is missing, "},
		{"o", with(messages.HeaderDeadReason), "o", "header Orderly-Dead-Reason is missing"},
		{"o", with(messages.HeaderDeadSubject), "o", `header Orderly-Dead-Subject is missing; its reason: "too early"`},
		{"o", with(messages.HeaderDeadSubject, "ORDER_EVENT.o"), "o", `header Orderly-Dead-Subject is "ORDER_EVENT.o": want one of stream ORDERS; its reason: "too early"`},
		{"o", with(messages.HeaderDeadSubject, "ORDER.o.p"), "o", `header Orderly-Dead-Subject is "ORDER.o.p": want one of stream ORDERS; `},
		{"o", with(messages.HeaderDeadStream), "o", "header Orderly-Dead-Stream is missing; "},
		{"o", with(messages.HeaderDeadStream, "ORDER_EVENTS"), "o", `header Orderly-Dead-Stream is "ORDER_EVENTS": want ORDERS or ORDER_TIMERS; `},
		{"o", with(messages.HeaderDeadSequence, "0"), "o", `header Orderly-Dead-Sequence is "0": want a sequence; `},
		{"o", with(messages.HeaderDeadSequence, "seven"), "o", `header Orderly-Dead-Sequence is "seven": want a sequence; `},
		{"o", with("Orderly-Dead-Head", "99"), "o", `header Orderly-Dead-Head is "99": want a length within the body; `},
		{"o", with("Orderly-Dead-Head", "-1"), "o", `header Orderly-Dead-Head is "-1": want `},
		{"ö", valid, "", `its subject ends neither in an order id nor in "~"; its reason: "too early"`},
	} {
		subject := messages.SubjectDead + c.id
		seq := storeMsg(t, js, subject, c.header, "by hand")
		d := waitDeadLetters(t, dead, i+1)[i]
		if !d.Foreign || d.OrderID != c.wantID || !strings.HasPrefix(d.Reason, foreign+c.reason) {
			t.Errorf("%d: got %+v, want a foreign one of order %q with reason %s", seq, d, c.wantID, foreign+c.reason)
		}
		if d.Sequence != seq || d.Source != seq || d.Subject != subject || d.Stream != messages.StreamDead {
			t.Errorf("%d: source is message %d of %s on %s: want the message itself", seq, d.Source, d.Stream, d.Subject)
		}
		if string(d.Body) != "by hand" || !maps.EqualFunc(d.Header, c.header, slices.Equal) {
			t.Errorf("%d: body %q, header %v: want them as published", seq, d.Body, d.Header)
		}
		if again, err := dead.Redrive(natstest.Context(t), seq); again != 0 || !errors.Is(err, ingress.ErrNotRedrivable) || !strings.Contains(err.Error(), d.Reason) {
			t.Errorf("%d: redriven as %d, error %v", seq, again, err)
		}
		if _, err := dead.Get(natstest.Context(t), seq); err != nil {
			t.Error(err)
		}
	}
	publishRaw(t, s, "ORDER_DEAD.o", "NATS/1.0\r\nno colon here\r\n\r\n", "by hand")
	if d := waitDeadLetters(t, dead, 14)[13]; !d.Foreign || d.Reason != foreign+"unreadable headers" || d.Header != nil || string(d.Body) != "by hand" {
		t.Errorf("got %+v", d)
	}
	startInbox(t, js, ingress.Config{})
	storeMsg(t, js, "ORDER.o", nil, "junk")
	if d := waitDeadLetters(t, dead, 15)[14]; d.Foreign || d.Subject != "ORDER.o" {
		t.Errorf("got %+v", d)
	}
	if n := countStored(t, js, messages.StreamEvents); n != 0 {
		t.Errorf("%d entries are in the journal", n)
	}
}

// Each dead letter is read when the caller asks for it: all of them may be more than fits in memory.
func TestAllReadsNothingAhead(t *testing.T) {
	_, js := startServer(t)
	startInbox(t, js, ingress.Config{})
	dead := ingress.NewDeadLetters(js)
	for range 3 {
		storeMsg(t, js, "ORDER.o", nil, "junk")
	}
	waitDeadLetters(t, dead, 3)
	stream := openStream(t, js, messages.StreamDead)
	var got []uint64
	for d, err := range dead.All(natstest.Context(t), ingress.DeadFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, d.Sequence); d.Sequence == 1 {
			if err := stream.DeleteMsg(natstest.Context(t), 2); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !slices.Equal(got, []uint64{1, 3}) {
		t.Errorf("got %v", got)
	}
	for _, err := range dead.All(natstest.Context(t), ingress.DeadFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		break // yield must not be called again
	}
	if err := js.DeleteStream(natstest.Context(t), messages.StreamDead); err != nil {
		t.Fatal(err)
	}
	yielded := 0
	for d, err := range dead.All(natstest.Context(t), ingress.DeadFilter{}) {
		if yielded++; d != nil || err == nil || !strings.HasPrefix(err.Error(), "list dead letters: ") {
			t.Errorf("got %+v, %v", d, err)
		}
	}
	if yielded != 1 {
		t.Errorf("%d values were yielded, want the error alone", yielded)
	}
}
