package journal_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
)

// text is short, around the lengths at which a length needs another byte, or long.
var text = rapid.Custom(func(t *rapid.T) string {
	n := rapid.OneOf(rapid.IntRange(0, 40), rapid.IntRange(60, 140), rapid.IntRange(16300, 16500)).Draw(t, "length")
	return strings.Repeat(rapid.SampledFrom([]string{"a", "é", "z"}).Draw(t, "letter"), n)[:n&^1]
})

func value(t *rapid.T) string {
	if rapid.Bool().Draw(t, "no data") {
		return ""
	}
	return `{"reference":"` + text.Draw(t, "reference") + `","amount":12.50}`
}

func event(t *rapid.T) *messages.Event {
	switch rapid.IntRange(0, 4).Draw(t, "kind") {
	case 0:
		a := &messages.OrderAccepted{Incarnation: text.Draw(t, "incarnation")}
		if rapid.Bool().Draw(t, "whole") {
			a.Order = &messages.OrderCreated{OrderId: "o-1", CustomerId: text.Draw(t, "customer"), TotalAmount: 9.99}
			for range rapid.IntRange(0, 5).Draw(t, "items") {
				a.Order.Items = append(a.Order.Items, &messages.OrderItem{ProductId: text.Draw(t, "product"), Quantity: 2, UnitPrice: 1})
			}
			a.Plan = &messages.Plan{Name: "order", Version: 3, Steps: []*messages.Step{{Name: text.Draw(t, "step"), Timeout: durationpb.New(1)}}}
			a.Driver = &messages.Source{Stream: "ORDERS", Sequence: rapid.Uint64().Draw(t, "sequence")}
		}
		return &messages.Event{Kind: &messages.Event_Accepted{Accepted: a}}
	case 1:
		return &messages.Event{Kind: &messages.Event_StepCompleted{StepCompleted: &messages.StepCompleted{
			Step: text.Draw(t, "step"), Data: value(t), Attempt: rapid.Uint32().Draw(t, "attempt"), Signal: text.Draw(t, "signal"),
			Skipped: rapid.Bool().Draw(t, "skipped"), TookUs: rapid.Uint64().Draw(t, "took"), Dropped: text.Draw(t, "dropped"),
		}}}
	case 2:
		return &messages.Event{Kind: &messages.Event_Completed{Completed: &messages.OrderCompleted{}}}
	case 3:
		return &messages.Event{Kind: &messages.Event_StepFailed{StepFailed: &messages.StepFailed{
			Step: text.Draw(t, "step"), Direction: messages.Undo, Kind: messages.Transient, RetryAt: timestamppb.Now(),
		}}}
	}
	return &messages.Event{Kind: &messages.Event_Signalled{Signalled: &messages.Signalled{Name: text.Draw(t, "name"), Data: value(t)}}}
}

func checkpoint(t *rapid.T) *messages.Checkpoint {
	if rapid.Bool().Draw(t, "no checkpoint") {
		return nil
	}
	return &messages.Checkpoint{
		Version: rapid.Uint32().Draw(t, "version"), First: rapid.Uint64().Draw(t, "first"), Owner: text.Draw(t, "owner"),
	}
}

// The hand-written encoder writes what the protobuf library decodes.
func TestEncodedEntryIsTheEntry(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := &messages.JournalEntry{
			OrderId: text.Draw(t, "order"), Number: rapid.Uint32().Draw(t, "number"), Node: text.Draw(t, "node"),
			Traceparent: text.Draw(t, "traceparent"), Previous: rapid.Uint64().Draw(t, "previous"), Checkpoint: checkpoint(t),
		}
		if rapid.Bool().Draw(t, "timed") {
			want.Time = &timestamppb.Timestamp{
				Seconds: rapid.Int64().Draw(t, "seconds"), Nanos: rapid.Int32().Draw(t, "nanos"),
			}
		}
		for range rapid.IntRange(0, 3).Draw(t, "events") {
			want.Events = append(want.Events, event(t))
		}
		prefix := []byte("prefix")
		body, err := journal.Encode(prefix, want)
		if err != nil {
			t.Fatal(err)
		}
		got := &messages.JournalEntry{}
		if err := proto.Unmarshal(body[len(prefix):], got); err != nil {
			t.Fatalf("%v in %x", err, body)
		}
		if !proto.Equal(got, want) {
			t.Fatalf("got %v\nwant %v", got, want)
		}
	})
}

// The cached plan is not used for an entry with another plan.
func TestEncodeTellsPlansApart(t *testing.T) {
	for _, name := range []string{"one", "two", "one"} {
		plan := &messages.Plan{Name: name}
		body, err := journal.Encode(nil, &messages.JournalEntry{Events: []*messages.Event{
			{Kind: &messages.Event_Accepted{Accepted: &messages.OrderAccepted{Plan: plan}}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		got := &messages.JournalEntry{}
		if err := proto.Unmarshal(body, got); err != nil {
			t.Fatal(err)
		}
		if got.Events[0].GetAccepted().GetPlan().GetName() != name {
			t.Errorf("plan %q, want %q", got.Events[0].GetAccepted().GetPlan().GetName(), name)
		}
	}
}

func TestEncodeRefusesWhatCannotBeRead(t *testing.T) {
	if _, err := journal.Encode(nil, &messages.JournalEntry{OrderId: "o", Traceparent: "\xff"}); err == nil {
		t.Error("an entry that no reader can decode")
	}
}
