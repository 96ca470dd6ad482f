package supervision_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/orderly-engine/orderly/messages/backoff"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/supervision"
)

func TestTheFirstOutcomeSettlesADeliveryAndTheActorStops(t *testing.T) {
	for _, outcome := range []delivery.Outcome{delivery.Done(), delivery.Later(time.Minute), delivery.Dead("why"), delivery.Dropped()} {
		t.Run(outcome.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t, supervision.Config{}, onDelivery(func(ctx actor.Context, _ int, d *delivery.Delivery) {
					answer(ctx, d, outcome)
					answer(ctx, d, delivery.Dead("a second answer"))
				}))
				want(t, f.deliver("o-1", 1), outcome)
				f.wantIdle()
			})
		})
	}
}

func TestAnActorLivesAsLongAsItHoldsADelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var first *delivery.Delivery
		f := start(t, supervision.Config{}, onDelivery(func(ctx actor.Context, _ int, d *delivery.Delivery) {
			switch d.Sequence {
			case 1:
				first = d
			case 2:
				answer(ctx, d, delivery.Done())
			case 3:
				answer(ctx, first, delivery.Done())
				answer(ctx, d, delivery.Done())
			}
		}))
		one, two := f.deliver("o-1", 1), f.deliver("o-1", 2)
		want(t, one)
		want(t, two, delivery.Done())
		three := f.deliver("o-1", 3)
		want(t, one, delivery.Done())
		want(t, three, delivery.Done())
		f.wantIdle()
		f.deliver("o-1", 4)
		f.wantEvents("0s actor 1: o-1/1", "0s actor 1: o-1/2", "0s actor 1: o-1/3", "0s actor 2: o-1/4")
	})
}

// slowStop answers Done, and the actors up to the given one take a while to stop.
func slowStop(actors int, while time.Duration) behavior {
	return func(ctx actor.Context, n int, message any) {
		if _, ok := message.(*actor.Stopping); ok && n <= actors {
			time.Sleep(while)
		}
		done(ctx, n, message)
	}
}

func TestADeliveryToAStoppingActorWaitsForTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, supervision.Config{}, slowStop(1, time.Second))
		deliveries := []*delivery.Delivery{f.deliver("o-1", 1), f.deliver("o-1", 2), f.deliver("o-1", 3)}
		f.after(addedWorker)
		f.wantEvents("0s actor 1: o-1/1")
		f.after(time.Second)
		f.wantEvents("0s actor 1: o-1/1", "1s actor 2: o-1/2", "1s actor 2: o-1/3")
		for _, d := range deliveries {
			want(t, d, delivery.Done())
		}
		f.wantIdle()
	})
}

func TestARedeliveryOfAPendingMessageIsForwarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var held []*delivery.Delivery
		f := start(t, supervision.Config{}, onDelivery(func(ctx actor.Context, _ int, d *delivery.Delivery) {
			if held = append(held, d); len(held) == 2 {
				answer(ctx, held[0], delivery.Dropped())
				answer(ctx, held[1], delivery.Done())
			}
		}))
		one, again := f.deliver("o-1", 7), f.deliver("o-1", 7)
		want(t, one, delivery.Dropped())
		want(t, again, delivery.Done())
		f.wantIdle()
	})
}

func TestDeliveriesOfAnActorThatStopsByItselfAreRedelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, supervision.Config{}, onDelivery(func(ctx actor.Context, _ int, _ *delivery.Delivery) { ctx.Stop(ctx.Self()) }))
		want(t, f.deliver("o-1", 1), delivery.Later(0))
		f.wantIdle()
	})
}

func TestDrainWaitsForTheLastDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, supervision.Config{}, onDelivery(func(ctx actor.Context, _ int, d *delivery.Delivery) { answerAfter(ctx, time.Minute, d) }))
		f.deliver("o-1", 1)
		f.deliver("o-2", 2)
		if got := f.Pending(); got != 2 {
			t.Fatalf("%d pending, want 2", got)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := f.Drain(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("drain with a short time-out: %v, want %v", err, context.DeadlineExceeded)
		}
		drained := make(chan time.Duration, 2)
		for range 2 {
			go func() {
				if err := f.Drain(t.Context()); err != nil {
					t.Errorf("drain: %v", err)
				}
				drained <- time.Since(f.begun)
			}()
		}
		for range 2 {
			if after := <-drained; after != time.Minute {
				t.Errorf("drained after %s, want 1m", after)
			}
		}
	})
}

func TestStopSettlesPendingAndLaterDeliveries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := supervision.Config{Backoff: backoff.Exponential{Initial: time.Hour, Max: time.Hour}}
		f := start(t, cfg, onDelivery(func(_ actor.Context, _ int, d *delivery.Delivery) {
			if d.OrderID == "restarts" {
				panic(errBoom)
			}
		}))
		deliveries := []*delivery.Delivery{f.deliver("held", 1), f.deliver("held", 2), f.deliver("restarts", 3)}
		f.Stop()
		f.Stop()
		deliveries = append(deliveries, f.deliver("late", 4))
		for _, d := range deliveries {
			want(t, d, delivery.Later(0))
		}
		f.wantIdle()
		if waited := time.Since(f.begun); waited != 0 {
			t.Fatalf("stop waited %s for a restart", waited)
		}
	})
}

// slowSettle holds up the shard supervisor for a second.
type slowSettle struct{ outcomes }

func (s *slowSettle) Settle(o delivery.Outcome) {
	time.Sleep(time.Second)
	s.outcomes.Settle(o)
}

func TestStopSpawnsNoActor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, supervision.Config{}, slowStop(99, time.Minute))
		f.deliver("o-1", 1)
		two := f.deliver("o-1", 2) // It waits for the actor that is stopping.
		f.after(addedWorker)
		slow := newDelivery("o-2", 3)
		slow.Settler = &slowSettle{}
		f.Deliver(slow)
		f.after(addedWorker)
		four := f.deliver("o-3", 4) // It waits until the shard supervisor has settled slow, and is handled after Stop.
		f.Stop()
		want(t, two, delivery.Later(0))
		want(t, four, delivery.Later(0))
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.started != 2 {
			t.Errorf("%d actors started, want 2: %q", f.started, f.events)
		}
	})
}

func TestADeliveryAnsweredWhileTheTreeStopsIsSettledOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var held *delivery.Delivery
		f := start(t, supervision.Config{}, func(ctx actor.Context, _ int, message any) {
			switch m := message.(type) {
			case *delivery.Delivery:
				held = m
			case *actor.Stopping:
				answer(ctx, held, delivery.Later(0))
			}
		})
		d := f.deliver("o-1", 1)
		f.Stop()
		want(t, d, delivery.Later(0))
	})
}

func TestConfigIsValidated(t *testing.T) {
	for name, cfg := range map[string]supervision.Config{
		"shards":    {Shards: supervision.MaxShards + 1},
		"backoff":   {Backoff: backoff.Exponential{Initial: time.Minute, Max: time.Second}},
		"negative":  {Backoff: backoff.Exponential{Initial: -1}},
		"order":     {OrderBudget: supervision.Budget{Count: -1}},
		"subsystem": {SubsystemBudget: supervision.Budget{Within: -1}},
		"delay":     {GiveUpDelay: -1},
	} {
		t.Run(name, func(t *testing.T) {
			if err := cfg.Validate(); !errors.Is(err, supervision.ErrConfig) {
				t.Fatalf("got %v, want %v", err, supervision.ErrConfig)
			}
		})
	}
}
