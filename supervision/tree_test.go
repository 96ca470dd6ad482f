package supervision_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/backoff"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/supervision"
)

func done(ctx actor.Context, _ int, message any) {
	if d, ok := message.(*delivery.Delivery); ok {
		answer(ctx, d, delivery.Done())
	}
}

func TestAnOutcomeIsPassedOnOnceAndTheActorStops(t *testing.T) {
	for _, want := range []delivery.Outcome{delivery.Done(), delivery.Later(time.Minute), delivery.Dead("why"), delivery.Dropped()} {
		t.Run(want.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, supervision.Config{}, func(ctx actor.Context, _ int, message any) {
					if d, ok := message.(*delivery.Delivery); ok {
						answer(ctx, d, want)
						answer(ctx, d, delivery.Dead("a second answer"))
					}
				})
				d := s.deliver("o-1", 1)
				s.ledger.want(t, d, want)
				s.wantIdle()
			})
		})
	}
}

func TestAnActorLivesAsLongAsItHoldsADelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var first *delivery.Delivery
		s := newStage(t, supervision.Config{}, func(ctx actor.Context, _ int, message any) {
			d, ok := message.(*delivery.Delivery)
			switch {
			case !ok:
			case d.Sequence == 1:
				first = d
			case d.Sequence == 2:
				answer(ctx, d, delivery.Done())
			case d.Sequence == 3:
				answer(ctx, first, delivery.Done())
				answer(ctx, d, delivery.Done())
			}
		})
		one, two := s.deliver("o-1", 1), s.deliver("o-1", 2)
		s.ledger.want(t, one)
		s.ledger.want(t, two, delivery.Done())
		three := s.deliver("o-1", 3)
		s.ledger.want(t, one, delivery.Done())
		s.ledger.want(t, three, delivery.Done())
		s.wantIdle()
		s.deliver("o-1", 4)
		s.wantEvents("0s life 1: o-1/1", "0s life 1: o-1/2", "0s life 1: o-1/3", "0s life 2: o-1/4")
	})
}

func TestWhatArrivesWhileAnActorStopsWaitsForTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, supervision.Config{}, func(ctx actor.Context, life int, message any) {
			if _, ok := message.(*actor.Stopping); ok && life == 1 {
				time.Sleep(time.Second)
			}
			done(ctx, life, message)
		})
		deliveries := []*delivery.Delivery{s.deliver("o-1", 1), s.deliver("o-1", 2), s.deliver("o-1", 3)}
		s.wantEvents("0s life 1: o-1/1")
		s.after(time.Second)
		s.wantEvents("0s life 1: o-1/1", "1s life 2: o-1/2", "1s life 2: o-1/3")
		for _, d := range deliveries {
			s.ledger.want(t, d, delivery.Done())
		}
		s.wantIdle()
	})
}

func TestARedeliveryOfAPendingMessageIsForwarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var held []*delivery.Delivery
		s := newStage(t, supervision.Config{}, func(ctx actor.Context, _ int, message any) {
			if d, ok := message.(*delivery.Delivery); ok {
				if held = append(held, d); len(held) == 2 {
					answer(ctx, held[0], delivery.Dropped())
					answer(ctx, held[1], delivery.Done())
				}
			}
		})
		one, again := s.deliver("o-1", 7), s.deliver("o-1", 7)
		s.ledger.want(t, one, delivery.Dropped())
		s.ledger.want(t, again, delivery.Done())
		s.wantIdle()
	})
}

func TestWhatAnActorThatStopsByItselfLeavesComesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var first *delivery.Delivery
		s := newStage(t, supervision.Config{}, func(ctx actor.Context, _ int, message any) {
			d, ok := message.(*delivery.Delivery)
			switch {
			case !ok:
			case d.Sequence == 1:
				first = d
			case d.Sequence == 2:
				answer(ctx, first, delivery.Done())
				ctx.Stop(ctx.Self())
			}
		})
		one, two := s.deliver("o-1", 1), s.deliver("o-1", 2)
		s.ledger.want(t, one, delivery.Done())
		s.ledger.want(t, two, delivery.Later(0))
		s.wantIdle()
	})
}

func TestDrainWaitsForTheLastDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, supervision.Config{}, func(ctx actor.Context, _ int, message any) {
			if d, ok := message.(*delivery.Delivery); ok {
				parent := ctx.Parent()
				root := ctx.ActorSystem().Root
				time.AfterFunc(time.Minute, func() { root.Send(parent, &delivery.Settled{Delivery: d, Outcome: delivery.Done()}) })
			}
		})
		s.deliver("o-1", 1)
		s.deliver("o-2", 2)
		if got := s.tree.Pending(); got != 2 {
			t.Fatalf("%d pending, want 2", got)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.tree.Drain(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("drain with a short time-out: %v, want %v", err, context.DeadlineExceeded)
		}
		for range 2 {
			go func() {
				if err := s.tree.Drain(t.Context()); err != nil {
					t.Errorf("drain: %v", err)
				}
				s.note("drained after " + time.Since(s.begun).String())
			}()
		}
		s.after(2 * time.Minute)
		s.wantEvents("0s life 1: o-1/1", "0s life 2: o-2/2", "drained after 1m0s", "drained after 1m0s")
	})
}

func TestStopSettlesWhatIsPendingAndWhatStillComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, supervision.Config{}, func(_ actor.Context, _ int, message any) {
			if d, ok := message.(*delivery.Delivery); ok && d.OrderID == "waits" {
				panic(&delivery.Failure{Kind: messages.Transient, RetryAfter: time.Hour, Err: errors.New("busy")})
			}
		})
		deliveries := []*delivery.Delivery{s.deliver("held", 1), s.deliver("held", 2), s.deliver("waits", 3)}
		s.tree.Stop()
		s.tree.Stop()
		deliveries = append(deliveries, s.deliver("late", 4))
		for _, d := range deliveries {
			s.ledger.want(t, d, delivery.Later(0))
		}
		s.wantIdle()
		if waited := time.Since(s.begun); waited != 0 {
			t.Fatalf("stop waited %s for a restart", waited)
		}
	})
}

func TestStopSpawnsNoActor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, supervision.Config{}, func(ctx actor.Context, life int, message any) {
			if _, ok := message.(*actor.Stopping); ok {
				time.Sleep(time.Second)
			}
			done(ctx, life, message)
		})
		s.deliver("o-1", 1)
		two := s.deliver("o-1", 2) // Waits for the actor that is stopping.
		s.tree.Stop()
		s.ledger.want(t, two, delivery.Later(0))
		s.wantEvents("0s life 1: o-1/1")
		s.wantIdle()
	})
}

func TestAnAnswerGivenWhileTheTreeStopsCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var held *delivery.Delivery
		s := newStage(t, supervision.Config{}, func(ctx actor.Context, _ int, message any) {
			switch m := message.(type) {
			case *delivery.Delivery:
				held = m
			case *actor.Stopping:
				answer(ctx, held, delivery.Later(time.Second))
			}
		})
		d := s.deliver("o-1", 1)
		s.tree.Stop()
		s.ledger.mu.Lock()
		defer s.ledger.mu.Unlock()
		if got := len(s.ledger.ended[d]); got != 1 {
			t.Fatalf("settled %d times, want once", got)
		}
	})
}

func TestAWrongConfigIsRefused(t *testing.T) {
	for name, cfg := range map[string]supervision.Config{
		"shards":    {Shards: supervision.MaxShards + 1},
		"backoff":   {Backoff: backoff.Exponential{Initial: time.Minute, Max: time.Second}},
		"negative":  {Backoff: backoff.Exponential{Initial: -1}},
		"order":     {OrderBudget: supervision.Budget{Count: -1}},
		"subsystem": {SubsystemBudget: supervision.Budget{Within: -1}},
		"delay":     {GiveUpDelay: -1},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := supervision.New(supervision.NewSystem(slog.New(slog.DiscardHandler)), func() actor.Actor { return immediate{} }, cfg)
			if !errors.Is(err, supervision.ErrConfig) {
				t.Fatalf("got %v, want %v", err, supervision.ErrConfig)
			}
		})
	}
}
