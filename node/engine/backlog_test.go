package engine_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/engine"
)

// Cancels that were stored while no node ran take effect before anything is called, whichever of two nodes gets them, also
// those stored just before their order and received after UnknownAge.
func TestCancelsInABacklog(t *testing.T) {
	const orders = 100
	s := newServer(t)
	var calls atomic.Int32
	count := engine.Function(func(context.Context, *engine.Call) (any, error) {
		calls.Add(1)
		return nil, nil
	})
	p := engine.Plan{Name: "pay", Version: 1, Steps: []engine.Step{{Name: "pay", Do: count}}}
	setup, err := engine.New(t.Context(), s.Connect(), p, engine.Config{Node: "setup"}) // makes the streams
	if err != nil {
		t.Fatal(err)
	}
	setup.Close()

	var ids []messages.OrderID
	var first, last []ingress.Outgoing
	for i := range orders {
		before, after := fmt.Sprintf("before-%d", i), fmt.Sprintf("after-%d", i)
		ids = append(ids, messages.OrderID(before), messages.OrderID(after))
		first = append(first, cancel(before), created(before), created(after))
		last = append(last, cancel(after))
	}
	s.publish(append(first, last...)...)
	published := time.Now()
	natstest.Eventually(t, "the orders are late", func() bool { return time.Since(published) > 2500*time.Millisecond })

	for _, name := range []string{"n-1", "n-2"} {
		s.start(p, engine.Config{Node: name, MaxInFlight: 16, UnknownAge: 2 * time.Second})
	}
	s.untilEmpty()
	for _, id := range ids {
		if _, kinds := s.history(id); !slices.Equal(kinds, []string{"accepted", "cancel_requested", "cancelled"}) {
			t.Errorf("order %s: %v", id, kinds)
		}
	}
	if n := calls.Load(); n > 0 {
		t.Errorf("%d calls", n)
	}
	if n := s.stored(messages.StreamDead); n > 0 {
		t.Errorf("%d dead letters", n)
	}
}

func cancel(id string) ingress.Outgoing {
	return ingress.Outgoing{OrderID: messages.OrderID(id), Body: &messages.CancelOrder{}}
}
