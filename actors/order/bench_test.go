package order_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// BenchmarkHappyPath is everything the core does for a four-step order that meets no trouble: one decision, five
// entries, four calls.
func BenchmarkHappyPath(b *testing.B) {
	plan := planOf(step("reserve", true), step("authorize", true), step("ship", true), step("capture", false))
	d, now, reply := created(1, "a"), timestamppb.New(epoch), doneReply()
	e := order.Env{Plan: plan, Now: epoch, UnknownAge: time.Minute}
	b.ReportAllocs()
	for b.Loop() {
		s := &order.State{}
		apply := func(events []*messages.Event) {
			entry := &messages.JournalEntry{OrderId: string(id), Number: s.Number + 1, Time: now, Node: "n-1", Events: events}
			if err := s.Apply(s.Last+1, entry); err != nil {
				b.Fatal(err)
			}
		}
		apply(order.Receive(s, d, e).Events)
		for s.Status == order.Running {
			events := s.HandleReply(order.CallResult{Call: s.Next().Call, Reply: reply, Took: time.Millisecond}, e)
			apply(events)
		}
		if s.Status != order.Completed || s.Number != 5 {
			b.Fatalf("%s after %d entries", s.Status, s.Number)
		}
	}
}

// BenchmarkReceive is the decision about a first delivery. The state lives on the heap, as an actor's does.
func BenchmarkReceive(b *testing.B) {
	d, s := created(1, "a"), &order.State{}
	e := order.Env{Plan: planOf(step("reserve", true)), Now: epoch, UnknownAge: time.Minute}
	b.ReportAllocs()
	for b.Loop() {
		if order.Receive(s, d, e).Action != order.AppendAndDrive {
			b.Fatal("not accepted")
		}
	}
}
