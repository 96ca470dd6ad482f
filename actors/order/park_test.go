package order_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// TestParkedFor includes a step that was pending and is called again after its deadline.
func TestParkedFor(t *testing.T) {
	h := newHistory()
	must := func(events ...*messages.Event) {
		t.Helper()
		if err := h.append(epoch, events...); err != nil {
			t.Fatal(err)
		}
	}
	call := func(reply *messages.StepReply) {
		events := h.state.HandleReply(order.CallResult{Call: h.state.Next().Call, Reply: reply}, order.Env{Now: epoch})
		must(events...)
	}
	wake := func(seq uint64) {
		t.Helper()
		d := newDelivery(messages.TypeWake, seq, "w")
		d.Park = h.state.Park
		must(order.Receive(h.state, d, order.Env{Now: h.state.ParkedUntil}).Events...)
	}
	want := func(rest order.ParkCause) {
		t.Helper()
		if got := h.state.ParkedFor(); got != rest {
			t.Fatalf("parked for %q, want %q", got, rest)
		}
	}

	must(order.Receive(h.state, created(1, "a"), order.Env{Plan: planOf(step("pay", true))}).Events...)
	want("")
	call(pendingReply("paid", epoch.Add(time.Hour)))
	want(order.ParkPending)
	wake(2)
	want("")
	call(retryReply(2 * time.Hour))
	want(order.ParkRetry)
	wake(3)
	must(&messages.Event{Kind: &messages.Event_Parked{Parked: &messages.OrderParked{Reason: "pay is out", Until: timestamppb.New(epoch.Add(3 * time.Hour))}}})
	want(order.ParkOutage)
}
