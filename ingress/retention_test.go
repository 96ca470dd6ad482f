package ingress_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

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

// A timer tells of its order, and goes with it; not that of an order which has the id of one that ended.
func TestRetentionForgetsTimers(t *testing.T) {
	_, js := ready(t)
	timers := newTimers(t, js)
	schedule := func(id messages.OrderID, park uint64) {
		t.Helper()
		if err := timers.Schedule(within(t), messages.Timer{OrderID: id, Park: park, At: time.Now().Add(time.Hour), Snapshot: []byte("secret")}); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"done", "again", "parked"} {
		schedule(messages.OrderID(id), publish(t, js, messages.SubjectEvent+id, nats.Header{messages.HeaderEvent: {"accepted,parked"}}, "entry"))
	}
	for _, id := range []string{"done", "again"} {
		publish(t, js, messages.SubjectEvent+id, nats.Header{messages.HeaderEvent: {"signalled,resumed,completed"}}, "entry")
	}
	schedule("again", publish(t, js, messages.SubjectEvent+"again", nats.Header{messages.HeaderEvent: {"accepted,parked"}}, "entry"))
	retention, err := ingress.NewRetention(js, time.Hour, quiet())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := retention.Sweep(within(t), time.Now().Add(61*time.Minute)); n != 2 || err != nil {
		t.Errorf("%d orders are forgotten, want 2, error %v", n, err)
	}
	stream, err := js.Stream(within(t), messages.StreamTimers)
	if err != nil {
		t.Fatal(err)
	}
	for id, kept := range map[string]bool{"done": false, "again": true, "parked": true} {
		if _, err := stream.GetLastMsgForSubject(within(t), messages.SubjectTimer+id); (err == nil) != kept {
			t.Errorf("timer of order %s: %v", id, err)
		}
	}
}

// However a sweep ends, nothing of it stays on the server, where each consumer makes every append dearer.
func TestSweepLeavesNoConsumer(t *testing.T) {
	_, js := ready(t)
	publish(t, js, messages.SubjectEvent+"done", nats.Header{messages.HeaderEvent: {"accepted,completed"}}, "entry")
	publish(t, js, messages.SubjectEvent+"parked", nats.Header{messages.HeaderEvent: {"accepted,parked"}}, "entry")
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	for _, c := range []struct {
		name string
		js   jetstream.JetStream
		ctx  context.Context
		want error
	}{
		{"at an error", unpurged{js, func() {}}, within(t), errCut},
		{"with its context", unpurged{js, cancel}, ctx, errCut},
		{"to its end", js, within(t), nil},
	} {
		retention, err := ingress.NewRetention(c.js, time.Hour, quiet())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := retention.Sweep(c.ctx, time.Now().Add(2*time.Hour)); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		}
		eventually(t, c.name+": no consumer is left", func() bool {
			stream, err := js.Stream(within(t), messages.StreamEvents)
			if err != nil {
				t.Fatal(err)
			}
			return stream.CachedInfo().State.Consumers == 0
		})
	}
}

// unpurged is a JetStream on which nothing can be purged; tried is called when somebody tries.
type unpurged struct {
	jetstream.JetStream
	tried func()
}

func (u unpurged) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	s, err := u.JetStream.Stream(ctx, name)
	return unpurgedStream{s, u.tried}, err
}

type unpurgedStream struct {
	jetstream.Stream
	tried func()
}

func (u unpurgedStream) Purge(context.Context, ...jetstream.StreamPurgeOpt) error {
	u.tried()
	return errCut
}
