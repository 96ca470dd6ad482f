package order_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// TestParkedFor tells the parks apart, also where a step that was pending is called again after its deadline.
func TestParkedFor(t *testing.T) {
	h := newHistory()
	must := func(events ...*messages.Event) {
		t.Helper()
		if err := h.append(epoch, events...); err != nil {
			t.Fatal(err)
		}
	}
	call := func(answer order.Answer) []*messages.Event {
		answer.Call = h.state.Next().Call
		return h.state.Settle(answer, always(delivery.Directive{Action: delivery.ActPark, Delay: 2 * time.Hour}), epoch).Events
	}
	wake := func(seq uint64) {
		t.Helper()
		d := newDelivery(messages.TypeWake, seq, "w")
		d.Park = h.state.Park
		must(order.Receive(h.state, d, order.Circumstances{Now: h.state.ParkedUntil}).Events...)
	}
	want := func(rest order.Rest) {
		t.Helper()
		if got := h.state.ParkedFor(); got != rest {
			t.Fatalf("parked for %q, want %q", got, rest)
		}
	}

	must(order.Receive(h.state, created(1, "a"), order.Circumstances{Plan: planOf(step("pay", true))}).Events...)
	want("")
	must(call(order.Answer{Reply: pendingReply("paid", epoch.Add(time.Hour))})...)
	want(order.RestPending)
	wake(2)
	want("")
	must(call(order.Answer{Failure: unavailable(messages.Transient)})...)
	want(order.RestRetry)
	wake(3)
	must(&messages.Event{Kind: &messages.Event_Parked{Parked: &messages.OrderParked{Reason: "pay is out", Until: timestamppb.New(epoch.Add(3 * time.Hour))}}})
	want(order.RestOutage)
}
