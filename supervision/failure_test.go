package supervision_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/backoff"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/supervision"
)

var errBoom = errors.New("boom")

// failing fails with reason on the first delivery of each life up to the given one and answers done afterwards.
func failing(lives int, reason any) script {
	return func(ctx actor.Context, life int, message any) {
		if d, ok := message.(*delivery.Delivery); ok {
			if life <= lives {
				panic(reason)
			}
			answer(ctx, d, delivery.Done())
		}
	}
}

var quick = supervision.Config{Backoff: backoff.Exponential{Initial: 100 * time.Millisecond, Max: time.Second}}

func TestATransientFailureRestartsAfterItsDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// More often than the order budget allows for defects.
		s := newStage(t, quick, failing(8, &delivery.Failure{Kind: messages.Transient, RetryAfter: 3 * time.Second, Err: errBoom}))
		d := s.deliver("o-1", 1)
		s.after(time.Minute)
		s.ledger.want(t, d, delivery.Done())
		s.wantEvents("0s life 1: o-1/1", "3s life 2: o-1/1", "6s life 3: o-1/1", "9s life 4: o-1/1", "12s life 5: o-1/1",
			"15s life 6: o-1/1", "18s life 7: o-1/1", "21s life 8: o-1/1", "24s life 9: o-1/1")
		s.wantIdle()
	})
}

func TestAnInfrastructureFailureBacksOffAndNeverGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, quick, failing(8, fmt.Errorf("append: %w", &delivery.Failure{Kind: messages.Infrastructure, Err: errBoom})))
		d := s.deliver("o-1", 1)
		s.after(time.Minute)
		s.ledger.want(t, d, delivery.Done())
		s.wantEvents("0s life 1: o-1/1", "50ms life 2: o-1/1", "150ms life 3: o-1/1", "350ms life 4: o-1/1", "750ms life 5: o-1/1",
			"1.25s life 6: o-1/1", "1.75s life 7: o-1/1", "2.25s life 8: o-1/1", "2.75s life 9: o-1/1")
		s.wantIdle()
		s.wantEscalations(0)
	})
}

func TestADefectBeyondTheBudgetGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := quick
		cfg.OrderBudget = supervision.Budget{Count: 2, Within: time.Minute}
		s := newStage(t, cfg, failing(3, errBoom))
		d := s.deliver("o-1", 1)
		s.after(time.Minute)
		s.ledger.want(t, d, delivery.Done())
		s.wantEvents("0s life 1: o-1/1", "50ms life 2: o-1/1", "150ms life 3: o-1/1",
			"350ms life 4: give up, defect failure: boom", "350ms life 4: o-1/1")
		s.wantIdle()
	})
}

func TestAnOrderThatFailsEvenGivenUpComesBackMuchLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := quick
		cfg.OrderBudget = supervision.Budget{Count: 1, Within: time.Minute}
		s := newStage(t, cfg, failing(99, "a panic without an error"))
		one := s.deliver("o-1", 1)
		two := s.deliver("o-1", 2)
		s.after(time.Minute)
		s.ledger.want(t, one, delivery.Later(30*time.Second))
		s.ledger.want(t, two, delivery.Later(30*time.Second))
		s.wantEvents("0s life 1: o-1/1", "50ms life 2: o-1/1",
			"150ms life 3: give up, defect failure: panic: a panic without an error", "150ms life 3: o-1/1")
		s.wantIdle()
	})
}

func TestAnOrderToldToGiveUpIsToldAgainAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := quick
		cfg.OrderBudget = supervision.Budget{Count: 1, Within: time.Minute}
		s := newStage(t, cfg, func(ctx actor.Context, life int, message any) {
			if d, ok := message.(*delivery.Delivery); ok {
				switch life {
				case 1, 2:
					panic(errBoom)
				case 3:
					panic(&delivery.Failure{Kind: messages.Infrastructure, Err: errBoom})
				}
				answer(ctx, d, delivery.Done())
			}
		})
		d := s.deliver("o-1", 1)
		s.after(time.Minute)
		s.ledger.want(t, d, delivery.Done())
		s.wantEvents("0s life 1: o-1/1", "50ms life 2: o-1/1", "150ms life 3: give up, defect failure: boom", "150ms life 3: o-1/1",
			"350ms life 4: give up, defect failure: boom", "350ms life 4: o-1/1")
	})
}

func TestADeliveryDoneRestoresTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := quick
		cfg.OrderBudget = supervision.Budget{Count: 1, Within: time.Hour}
		seen := make(map[uint64]bool)
		s := newStage(t, cfg, func(ctx actor.Context, _ int, message any) {
			d, ok := message.(*delivery.Delivery)
			switch {
			case !ok || d.Sequence == 99:
			case !seen[d.Sequence]:
				seen[d.Sequence] = true
				panic(errBoom)
			default:
				answer(ctx, d, delivery.Done())
			}
		})
		s.deliver("o-1", 99) // Held throughout, so that the order is never forgotten.
		for n := range uint64(3) {
			d := s.deliver("o-1", n)
			s.after(time.Second)
			s.ledger.want(t, d, delivery.Done())
		}
		s.wantEvents("0s life 1: o-1/99", "0s life 1: o-1/0", "50ms life 2: o-1/99", "50ms life 2: o-1/0",
			"1s life 2: o-1/1", "1.05s life 3: o-1/99", "1.05s life 3: o-1/1",
			"2s life 3: o-1/2", "2.05s life 4: o-1/99", "2.05s life 4: o-1/2")
	})
}

func TestPoisonBuriesTheDeliveryThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, quick, func(ctx actor.Context, life int, message any) {
			d, ok := message.(*delivery.Delivery)
			switch {
			case !ok:
			case d.Sequence == 2:
				panic(&delivery.Failure{Kind: messages.Poison, Err: errBoom})
			case life > 1:
				answer(ctx, d, delivery.Done())
			}
		})
		one, two := s.deliver("o-1", 1), s.deliver("o-1", 2)
		s.ledger.want(t, two, delivery.Dead("boom"))
		s.ledger.want(t, one, delivery.Done())
		s.wantEvents("0s life 1: o-1/1", "0s life 1: o-1/2", "0s life 2: o-1/1")
		s.wantIdle()
	})
}

func TestPoisonFoundOutsideADeliveryBuriesTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, quick, func(ctx actor.Context, life int, message any) {
			switch m := message.(type) {
			case *delivery.Delivery:
				if m.Sequence == 2 && life == 1 {
					ctx.Send(ctx.Self(), "read")
				} else if life > 1 {
					answer(ctx, m, delivery.Done())
				}
			case string:
				panic(&delivery.Failure{Kind: messages.Poison})
			}
		})
		one, two := s.deliver("o-1", 1), s.deliver("o-1", 2)
		s.ledger.want(t, one, delivery.Dead("poison failure: <nil>"))
		s.ledger.want(t, two, delivery.Done())
	})
}

func TestPoisonInADeliveryAlreadyAnsweredCostsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, quick, func(ctx actor.Context, life int, message any) {
			d, ok := message.(*delivery.Delivery)
			switch {
			case ok && d.Sequence == 2:
				answer(ctx, d, delivery.Done())
				panic(&delivery.Failure{Kind: messages.Poison, Err: errBoom})
			case ok && life > 1:
				answer(ctx, d, delivery.Done())
			}
		})
		one, two := s.deliver("o-1", 1), s.deliver("o-1", 2)
		s.ledger.want(t, one, delivery.Done())
		s.ledger.want(t, two, delivery.Done())
	})
}

func TestAFencedOrderDropsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, quick, func(ctx actor.Context, life int, message any) {
			d, ok := message.(*delivery.Delivery)
			switch {
			case ok && life > 1:
				answer(ctx, d, delivery.Done())
			case ok && d.Sequence == 2:
				panic(&delivery.Failure{Kind: messages.Fenced, Err: errBoom})
			}
		})
		one, two := s.deliver("o-1", 1), s.deliver("o-1", 2)
		s.ledger.want(t, one, delivery.Dropped())
		s.ledger.want(t, two, delivery.Dropped())
		s.wantIdle()
		s.ledger.want(t, s.deliver("o-1", 3), delivery.Done())
	})
}

func TestOrderHoldsAcrossARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, quick, func(ctx actor.Context, life int, message any) {
			if d, ok := message.(*delivery.Delivery); ok {
				if life == 1 {
					time.Sleep(time.Second) // 2 and 3 come into the mailbox meanwhile.
					panic(errBoom)
				}
				answer(ctx, d, delivery.Done())
			}
		})
		var all []*delivery.Delivery
		for n := range uint64(3) {
			d := s.ledger.delivery("o-1", n+1)
			all = append(all, d)
			s.tree.Deliver(d)
		}
		s.after(time.Second)
		all = append(all, s.deliver("o-1", 4)) // While the restart is awaited.
		s.after(time.Second)
		for _, d := range all {
			s.ledger.want(t, d, delivery.Done())
		}
		s.wantEvents("0s life 1: o-1/1", "1.05s life 2: o-1/1", "1.05s life 2: o-1/2", "1.05s life 2: o-1/3", "1.05s life 2: o-1/4")
		s.wantIdle()
	})
}

func TestAnswersBeforeAFailureAreHeardFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var one *delivery.Delivery
		s := newStage(t, quick, func(ctx actor.Context, life int, message any) {
			d, ok := message.(*delivery.Delivery)
			switch {
			case !ok:
			case life > 1:
				answer(ctx, d, delivery.Done())
			case d.Sequence == 1:
				one = d
			default:
				answer(ctx, one, delivery.Done())
				panic(errBoom)
			}
		})
		s.deliver("o-1", 1)
		two := s.deliver("o-1", 2)
		s.after(time.Second)
		s.ledger.want(t, one, delivery.Done())
		s.ledger.want(t, two, delivery.Done())
		s.wantEvents("0s life 1: o-1/1", "0s life 1: o-1/2", "50ms life 2: o-1/2")
	})
}

func TestALateAnswerSparesTheRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, quick, func(ctx actor.Context, _ int, message any) {
			if d, ok := message.(*delivery.Delivery); ok {
				parent, root := ctx.Parent(), ctx.ActorSystem().Root
				time.AfterFunc(time.Second, func() { root.Send(parent, &delivery.Settled{Delivery: d, Outcome: delivery.Done()}) })
				panic(&delivery.Failure{Kind: messages.Transient, RetryAfter: time.Minute, Err: errBoom})
			}
		})
		d := s.deliver("o-1", 1)
		s.after(time.Hour)
		s.ledger.want(t, d, delivery.Done())
		s.wantEvents("0s life 1: o-1/1")
		s.wantIdle()
	})
}

func TestAnActorThatPanicsWhileItStopsIsGoneAllTheSame(t *testing.T) {
	for _, message := range []any{&actor.Stopping{}, &actor.Stopped{}} {
		t.Run(fmt.Sprintf("%T", message), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, quick, func(ctx actor.Context, life int, m any) {
					if fmt.Sprintf("%T", m) == fmt.Sprintf("%T", message) {
						panic(errBoom)
					}
					done(ctx, life, m)
				})
				s.ledger.want(t, s.deliver("o-1", 1), delivery.Done())
				s.ledger.want(t, s.deliver("o-1", 2), delivery.Done())
				s.wantIdle()
				s.tree.Stop()
			})
		})
	}
}

func TestAnActorThatCannotStartFailsLikeAnyOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := quick
		cfg.OrderBudget = supervision.Budget{Count: 1, Within: time.Minute}
		s := newStage(t, cfg, func(ctx actor.Context, life int, m any) {
			if _, ok := m.(*actor.Started); ok && life < 3 {
				panic(errBoom)
			}
			done(ctx, life, m)
		})
		d := s.deliver("o-1", 1)
		s.after(time.Second)
		s.ledger.want(t, d, delivery.Done())
		s.wantEvents("150ms life 3: give up, defect failure: boom", "150ms life 3: o-1/1")
	})
}
