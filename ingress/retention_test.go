package ingress_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
)

func TestRetentionForgetsEndedOrdersOnly(t *testing.T) {
	_, js := ready(t)
	for _, e := range []struct{ id, kinds string }{
		{"done", "accepted"}, {"parked", "accepted,parked"}, {"rejected", "accepted,rejected"}, {"attention", "accepted,step_rejected"},
		{"done", "step_completed,completed"}, {"attention", "attention"}, {"waited-for", "accepted"}, {"waited-for", "cancelled"},
	} {
		publish(t, js, messages.SubjectEvent+e.id, nats.Header{messages.HeaderEvent: {e.kinds}}, "entry")
	}
	publish(t, js, "ORDER.waited-for", nil, created("waited-for"))
	retention, err := ingress.NewRetention(js, time.Hour, quiet())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := retention.Sweep(within(t), time.Now().Add(59*time.Minute)); n != 0 || err != nil {
		t.Errorf("%d orders are forgotten too early, %v", n, err)
	}
	for _, want := range []int{2, 0} {
		if n, err := retention.Sweep(within(t), time.Now().Add(61*time.Minute)); n != want || err != nil {
			t.Errorf("%d orders are forgotten, want %d, %v", n, want, err)
		}
	}
	stream, err := js.Stream(within(t), messages.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	for id, kept := range map[string]bool{"done": false, "rejected": false, "parked": true, "attention": true, "waited-for": true} {
		if _, err := stream.GetLastMsgForSubject(within(t), messages.SubjectEvent+id); (err == nil) != kept {
			t.Errorf("order %s: %v", id, err)
		}
	}
	if n := stored(t, js, messages.StreamEvents); n != 5 {
		t.Errorf("%d entries are left, want 5", n)
	}
	if _, err := ingress.NewRetention(js, 0, nil); err == nil {
		t.Error("a retention of nothing passes")
	}
}
