package wire_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/server/index/wire"
)

// samples are entries with an event of every kind that the index reads, and one of those it does not.
func samples() []*messages.JournalEntry {
	source := &messages.Source{Stream: messages.StreamOrders, Sequence: 7}
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	events := []*messages.Event{
		{Kind: &messages.Event_Accepted{Accepted: &messages.OrderAccepted{
			Order: &messages.OrderCreated{
				OrderId: "o-1", CustomerId: "c-1", Currency: "EUR", TotalAmount: 19.25,
				Items: []*messages.OrderItem{{ProductId: "p-1", Quantity: 1, UnitPrice: 19.25}},
			},
			Plan:   &messages.Plan{Name: "order", Version: 2, Steps: []*messages.Step{{Name: "reserve", Do: "sim:"}, {Name: "capture", Do: "sim:"}}},
			Driver: source, Incarnation: "i-1",
		}}},
		{Kind: &messages.Event_StepCompleted{StepCompleted: &messages.StepCompleted{Step: "reserve", Attempt: 1, Data: `"r-1"`}}},
		{Kind: &messages.Event_StepFailed{StepFailed: &messages.StepFailed{Step: "reserve", Attempt: 1, Error: "away"}}},
		{Kind: &messages.Event_StepRejected{StepRejected: &messages.StepRejected{Step: "reserve", Code: "no", Reason: "sold out"}}},
		{Kind: &messages.Event_StepPending{StepPending: &messages.StepPending{Step: "capture", Signal: "paid"}}},
		{Kind: &messages.Event_StepUndone{StepUndone: &messages.StepUndone{Step: "reserve", Attempt: 1}}},
		{Kind: &messages.Event_CancelRequested{CancelRequested: &messages.CancelRequested{Source: source, Reason: "too late"}}},
		{Kind: &messages.Event_Signalled{Signalled: &messages.Signalled{Source: source, Name: "paid"}}},
		{Kind: &messages.Event_Parked{Parked: &messages.OrderParked{Reason: "waits", Until: timestamppb.New(at)}}},
		{Kind: &messages.Event_Resumed{Resumed: &messages.OrderResumed{Driver: source, Incarnation: "i-2", Cause: "wake"}}},
		{Kind: &messages.Event_Attention{Attention: &messages.OrderNeedsAttention{Step: "capture", Cause: "stuck"}}},
		{Kind: &messages.Event_Completed{Completed: &messages.OrderCompleted{}}},
		{Kind: &messages.Event_Rejected{Rejected: &messages.OrderRejected{Code: "no", Reason: "sold out"}}},
		{Kind: &messages.Event_Cancelled{Cancelled: &messages.OrderCancelled{Reason: "too late"}}},
	}
	var entries []*messages.JournalEntry
	for i, e := range events {
		entries = append(entries, &messages.JournalEntry{OrderId: "o-1", Number: uint32(i) + 1, Time: timestamppb.New(at), Node: "n-1", Events: []*messages.Event{e}})
	}
	return append(entries, &messages.JournalEntry{OrderId: "o-1", Number: 1, Time: timestamppb.New(at), Events: events})
}

// FuzzDecode: decoding never panics, and entries that the protobuf library decodes are decoded with the same result.
func FuzzDecode(f *testing.F) {
	for _, e := range samples() {
		body, err := proto.Marshal(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Add([]byte("hello"))
	f.Fuzz(func(t *testing.T, body []byte) {
		var e messages.JournalEntry
		var got wire.Entry
		d := wire.NewDecoder(nil)
		if err := d.Decode(1, body, &got); err != nil || (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(body, &e) != nil {
			return
		}
		// The library writes each field once, and with its own wire type.
		again, err := proto.Marshal(&e)
		if err != nil {
			t.Skip()
		}
		if err := d.Decode(1, again, &got); err != nil {
			t.Fatalf("%v: %v", &e, err)
		}
		if string(got.OrderID) != e.GetOrderId() || got.Number != uint64(e.GetNumber()) {
			t.Errorf("entry %d of order %q: want those of %v", got.Number, got.OrderID, &e)
		}
		if at := e.GetTime(); at != nil && at.IsValid() && at.Seconds >= 0 && at.Seconds < 1<<33 && got.Time != at.AsTime().UnixNano() {
			t.Errorf("time %d: want that of %v", got.Time, at)
		}
		next := 0
		for _, ev := range e.GetEvents() {
			if ev.GetKind() == nil {
				continue
			}
			if next == len(got.Events) {
				t.Fatalf("%d events: want those of %v", len(got.Events), &e)
			}
			same(t, got.Events[next], ev)
			next++
		}
	})
}

// same compares what is read of an event with the event.
func same(t *testing.T, got wire.Event, want *messages.Event) {
	t.Helper()
	var expect wire.Event
	switch k := want.GetKind().(type) {
	case *messages.Event_Accepted:
		o := k.Accepted.GetOrder()
		expect = wire.Event{Kind: wire.Accepted, Customer: o.GetCustomerId(), Currency: o.GetCurrency()}
		if got.Plan.Name != wire.Clip([]byte(k.Accepted.GetPlan().GetName()), 128) || len(got.Plan.Steps) != len(k.Accepted.GetPlan().GetSteps()) {
			t.Errorf("plan %+v: want that of %v", got.Plan, want)
		}
	case *messages.Event_StepCompleted:
		expect.Kind = wire.StepCompleted
	case *messages.Event_StepFailed:
		expect = wire.Event{Kind: wire.StepFailed, Step: k.StepFailed.GetStep()}
	case *messages.Event_StepRejected:
		expect = wire.Event{Kind: wire.StepRejected, Step: k.StepRejected.GetStep()}
	case *messages.Event_StepPending:
		expect = wire.Event{Kind: wire.StepPending, Step: k.StepPending.GetStep()}
	case *messages.Event_StepUndone:
		expect = wire.Event{Kind: wire.StepUndone, Step: k.StepUndone.GetStep()}
	case *messages.Event_CancelRequested:
		expect.Kind = wire.CancelRequested
	case *messages.Event_Parked:
		expect = wire.Event{Kind: wire.Parked, Reason: k.Parked.GetReason()}
	case *messages.Event_Resumed:
		expect.Kind = wire.Resumed
	case *messages.Event_Attention:
		expect = wire.Event{Kind: wire.Attention, Step: k.Attention.GetStep(), Reason: k.Attention.GetCause()}
	case *messages.Event_Completed:
		expect.Kind = wire.Completed
	case *messages.Event_Rejected:
		expect = wire.Event{Kind: wire.Rejected, Reason: k.Rejected.GetReason()}
	case *messages.Event_Cancelled:
		expect = wire.Event{Kind: wire.Cancelled, Reason: k.Cancelled.GetReason()}
	default:
		return
	}
	if got.Kind != expect.Kind || got.Customer != wire.Clip([]byte(expect.Customer), wire.MaxCustomer) || got.Currency != wire.Clip([]byte(expect.Currency), 16) ||
		got.Step != wire.Clip([]byte(expect.Step), 128) || got.Reason != wire.Clip([]byte(expect.Reason), wire.MaxReason) {
		t.Errorf("read %+v of %v", got, want)
	}
}
