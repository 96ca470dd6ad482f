package order_test

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

const (
	id    = messages.OrderID("o-1")
	inbox = "ORDERS"
	wakes = "ORDER_TIMERS"
)

// epoch is the start of every test.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func step(name string, undo bool) *messages.Step {
	s := &messages.Step{Name: name, Do: "sim:", Retry: &messages.Retry{Initial: durationpb.New(time.Second), Attempts: 10}}
	if undo {
		s.Undo = "sim:"
	}
	return s
}

func planOf(steps ...*messages.Step) *messages.Plan {
	return &messages.Plan{Name: "test", Version: 1, Steps: steps}
}

func content(customer string) *messages.OrderCreated {
	return &messages.OrderCreated{
		OrderId: string(id), CustomerId: customer, TotalAmount: 10, Currency: "USD",
		Items: []*messages.OrderItem{{ProductId: "p-1", Quantity: 2, UnitPrice: 5}},
	}
}

// created is a delivery of a created message.
func created(seq uint64, incarnation string) *delivery.Delivery {
	d := newDelivery(messages.TypeCreated, seq, incarnation)
	d.Created = content("c-1")
	return d
}

// newDelivery is one without a body.
func newDelivery(t messages.Type, seq uint64, incarnation string) *delivery.Delivery {
	d := &delivery.Delivery{
		OrderID: id, Type: t, Stream: inbox, Sequence: seq, Deliveries: 1, Stored: epoch, Received: epoch, Incarnation: incarnation,
	}
	switch t {
	case messages.TypeCancel:
		d.Cancel = &messages.CancelOrder{Reason: "changed my mind"}
	case messages.TypeSignal:
		d.Signal = &messages.SignalOrder{}
	case messages.TypeWake:
		d.Stream = wakes
	}
	return d
}

func doneReply() *messages.StepReply {
	return &messages.StepReply{Result: &messages.StepReply_Done{Done: &messages.StepDone{Data: `"r-1"`}}}
}

func rejectedReply(code string) *messages.StepReply {
	return &messages.StepReply{Result: &messages.StepReply_Rejected{Rejected: &messages.StepRefused{Code: code, Reason: "because"}}}
}

func pendingReply(signal string, deadline time.Time) *messages.StepReply {
	w := &messages.StepWaiting{Signal: signal}
	if !deadline.IsZero() {
		w.Deadline = timestamppb.New(deadline)
	}
	return &messages.StepReply{Result: &messages.StepReply_Pending{Pending: w}}
}

func retryReply(after time.Duration) *messages.StepReply {
	return &messages.StepReply{Result: &messages.StepReply_Retry{Retry: &messages.StepAgain{After: durationpb.New(after), Reason: "busy"}}}
}

// unavailable is a failed attempt.
func unavailable(kind messages.FailureKind) *delivery.Failure {
	return &delivery.Failure{Kind: kind, Err: errors.New("unavailable")}
}

// history is the journal of one order. The entry with number n is stored at 10·n.
type history struct {
	state   *order.State
	entries []*messages.JournalEntry
}

func newHistory() *history { return &history{state: &order.State{}} }

func stored(number uint32) uint64 { return 10 * uint64(number) }

// append journals events as one entry, through the wire format.
func (h *history) append(now time.Time, events ...*messages.Event) error {
	return h.add(&messages.JournalEntry{
		OrderId: string(id), Number: h.state.Number + 1, Time: timestamppb.New(now), Node: "n-1", Events: events,
	})
}

func (h *history) add(entry *messages.JournalEntry) error {
	entry = throughWire(entry)
	h.entries = append(h.entries, entry)
	return h.state.Apply(stored(entry.Number), entry)
}

// throughWire is the entry as a reader of the journal gets it.
func throughWire(entry *messages.JournalEntry) *messages.JournalEntry {
	b, err := proto.Marshal(entry)
	if err != nil {
		panic(err)
	}
	read := &messages.JournalEntry{}
	if err := proto.Unmarshal(b, read); err != nil {
		panic(err)
	}
	return read
}

// fold replays the entries up to and with that number.
func (h *history) fold(t failer, upTo int) *order.State {
	t.Helper()
	s := &order.State{}
	for _, e := range h.entries[:upTo] {
		if err := s.Apply(stored(e.Number), throughWire(e)); err != nil {
			t.Fatalf("replay: %v", err)
		}
	}
	return s
}

// write formats the events.
func write(events []*messages.Event) string {
	words := make([]string, len(events))
	for i, e := range events {
		words[i] = messages.KindOf(e) + details(e)
	}
	return strings.Join(words, " ")
}

// stepOf names a step, and its direction if that is undo.
func stepOf(step string, d messages.Direction) string {
	if d == messages.Undo {
		return step + "/undo"
	}
	return step
}

func details(e *messages.Event) string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	switch k := e.GetKind().(type) {
	case *messages.Event_Accepted:
		add("%d/%s", k.Accepted.GetDriver().GetSequence(), k.Accepted.GetIncarnation())
	case *messages.Event_StepCompleted:
		add("%s", k.StepCompleted.GetStep())
		if s := k.StepCompleted.GetSignal(); s != "" {
			add("by %s with %s", s, strings.Trim(k.StepCompleted.GetData(), `"`))
		}
		if k.StepCompleted.GetSkipped() {
			add("skipped")
		}
		if d := k.StepCompleted.GetDropped(); d != "" {
			add("dropped: %s", d)
		}
	case *messages.Event_StepFailed:
		f := k.StepFailed
		add("%s/%s %d %s", f.GetStep(), f.GetDirection().Label(), f.GetAttempt(), f.GetKind().Label())
		if f.GetRetryAt() != nil {
			add("again at %s", f.GetRetryAt().AsTime().Sub(epoch))
		}
		if f.GetInDoubt() {
			add("in doubt")
		}
	case *messages.Event_StepRejected:
		add("%s %s", k.StepRejected.GetStep(), k.StepRejected.GetCode())
		if k.StepRejected.GetInDoubt() {
			add("in doubt")
		}
	case *messages.Event_StepPending:
		add("%s %s until %s", stepOf(k.StepPending.GetStep(), k.StepPending.GetDirection()), k.StepPending.GetSignal(), k.StepPending.GetDeadline().AsTime().Sub(epoch))
	case *messages.Event_StepUndone:
		add("%s", k.StepUndone.GetStep())
		if k.StepUndone.GetSkipped() {
			add("skipped")
		}
		if signal := k.StepUndone.GetSignal(); signal != "" {
			add("by %s", signal)
		}
		if code := k.StepUndone.GetCode(); code != "" {
			add("code %s", code)
		}
	case *messages.Event_CancelRequested:
		add("%d", k.CancelRequested.GetSource().GetSequence())
	case *messages.Event_Signalled:
		add("%d %s", k.Signalled.GetSource().GetSequence(), k.Signalled.GetName())
	case *messages.Event_Recorded:
		add("%d %s", k.Recorded.GetSource().GetSequence(), k.Recorded.GetType())
	case *messages.Event_Parked:
		add("until %s", k.Parked.GetUntil().AsTime().Sub(epoch))
		if k.Parked.GetInDoubt() {
			add("in doubt")
		}
	case *messages.Event_Resumed:
		add("%s %d/%s", k.Resumed.GetCause(), k.Resumed.GetDriver().GetSequence(), k.Resumed.GetIncarnation())
	case *messages.Event_Attention:
		add("%s", k.Attention.GetKind().Label())
		if k.Attention.GetStep() != "" {
			add("%s/%s", k.Attention.GetStep(), k.Attention.GetDirection().Label())
		}
	case *messages.Event_Rejected:
		add("%s", k.Rejected.GetCode())
	case *messages.Event_Cancelled:
		add("%s", k.Cancelled.GetReason())
	}
	if len(parts) == 0 {
		return ""
	}
	return "(" + strings.Join(parts, " ") + ")"
}
