package supervision_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/backoff"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/supervision"
)

// randomActor is an order actor that at random answers, fails, stops by itself, or holds a delivery for a while. It checks
// that no other actor of its order exists and that deliveries arrive in order.
type randomActor struct {
	t     *testing.T
	alive *sync.Map // order id → *atomic.Int32
	id    messages.OrderID
	held  []*delivery.Delivery
	seen  uint64
}

func (s *randomActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *delivery.Delivery:
		s.begin(m)
		if m.Sequence <= s.seen {
			s.t.Errorf("order %s: delivery %d came after %d", m.OrderID, m.Sequence, s.seen)
		}
		s.seen = m.Sequence
		s.held = append(s.held, m)
		s.act(ctx)
	case *actor.Stopped:
		if s.id != "" {
			s.count(-1)
		}
	}
}

func (s *randomActor) begin(m *delivery.Delivery) {
	if s.id == "" {
		s.id = m.OrderID
		if n := s.count(1); n != 1 {
			s.t.Errorf("order %s has %d actors", s.id, n)
		}
	}
}

func (s *randomActor) count(delta int32) int32 {
	n, _ := s.alive.LoadOrStore(s.id, new(atomic.Int32))
	return n.(*atomic.Int32).Add(delta)
}

func (s *randomActor) act(ctx actor.Context) {
	switch n := rand.IntN(100); {
	case n < 4:
		panic(errBoom)
	case n < 8:
		panic(infrastructure)
	case n < 10:
		ctx.Stop(ctx.Self())
	case n < 18 && len(s.held) < 3:
		// Answered in a moment.
		for _, d := range s.held {
			answerAfter(ctx, time.Millisecond, d)
		}
		s.held = nil
	default:
		for _, d := range s.held {
			answer(ctx, d, delivery.Done())
		}
		s.held = nil
	}
}

// counter counts how often a delivery was settled.
type counter struct{ n atomic.Int32 }

func (c *counter) Settle(delivery.Outcome) { c.n.Add(1) }

func stress(t *testing.T, stopEarly bool) {
	const orders, senders, each = 8, 4, 2500
	var alive sync.Map
	tree, err := supervision.New(newSystem(), func() actor.Actor { return &randomActor{t: t, alive: &alive} }, supervision.Config{
		Backoff:     backoff.Exponential{Initial: time.Millisecond, Max: 2 * time.Millisecond},
		GiveUpDelay: time.Millisecond, SubsystemBudget: supervision.Budget{Count: 1 << 30}, OutageLimit: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	var counters [senders][each]counter
	var wg sync.WaitGroup
	for n := range senders {
		wg.Go(func() {
			for i := range each {
				// Each sender has its own orders, so that its messages about one order arrive in order.
				id := fmt.Sprintf("o-%d-%d", n, rand.IntN(orders/senders))
				tree.Deliver(&delivery.Delivery{OrderID: messages.OrderID(id), Sequence: uint64(i + 1), Settler: &counters[n][i]})
			}
		})
	}
	if !stopEarly {
		wg.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := tree.Drain(ctx); err != nil {
			t.Fatal(err)
		}
	}
	tree.Stop()
	wg.Wait()
	for n := range counters {
		for i := range counters[n] {
			if got := counters[n][i].n.Load(); got != 1 {
				t.Fatalf("delivery %d of sender %d was settled %d times, want once", i, n, got)
			}
		}
	}
	if got := tree.Pending(); got != 0 {
		t.Fatalf("%d deliveries pending after all were settled", got)
	}
	alive.Range(func(id, n any) bool {
		if got := n.(*atomic.Int32).Load(); got != 0 {
			t.Fatalf("order %s still has %d actors", id, got)
		}
		return true
	})
}

func TestRandomActorsSettleEachDeliveryOnce(t *testing.T) { stress(t, false) }

func TestStopUnderLoadSettlesEachDeliveryOnce(t *testing.T) {
	for range 5 {
		stress(t, true)
	}
}

// prompt produces an actor that answers at once.
func prompt() actor.Actor {
	return actor.ReceiveFunc(func(ctx actor.Context) { done(ctx, 1, ctx.Message()) })
}

func TestStartAndStopManyTimes(t *testing.T) {
	system := newSystem()
	for range 50 {
		tree, err := supervision.New(system, prompt, supervision.Config{Shards: 3})
		if err != nil {
			t.Fatal(err)
		}
		var counters [64]counter
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := range counters {
				tree.Deliver(&delivery.Delivery{OrderID: messages.OrderID(fmt.Sprint("o-", i)), Settler: &counters[i]})
			}
		})
		for range 3 {
			wg.Go(tree.Stop)
		}
		wg.Wait()
		for i := range counters {
			if got := counters[i].n.Load(); got != 1 {
				t.Fatalf("delivery %d was settled %d times, want once", i, got)
			}
		}
	}
}

func TestDrainAfterStopReturnsAtOnce(t *testing.T) {
	tree, err := supervision.New(newSystem(), prompt, supervision.Config{})
	if err != nil {
		t.Fatal(err)
	}
	tree.Stop()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("no patience"))
	if err := tree.Drain(ctx); err != nil {
		t.Fatal(err)
	}
}
