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

var (
	errBoom        = errors.New("boom")
	infrastructure = &delivery.Failure{Kind: messages.Infrastructure, Err: errors.New("no connection")}

	quick = supervision.Config{Backoff: backoff.Exponential{Initial: 100 * time.Millisecond, Max: time.Second}}
)

// quickWith is quick with a budget for the defects of an order.
func quickWith(defects int) supervision.Config {
	cfg := quick
	cfg.OrderBudget = supervision.Budget{Count: defects, Within: time.Hour}
	return cfg
}

// failing panics with the n-th reason at each delivery to the n-th actor; further actors answer Done.
func failing(reasons ...any) behavior {
	return onDelivery(func(ctx actor.Context, n int, d *delivery.Delivery) {
		if n <= len(reasons) {
			panic(reasons[n-1])
		}
		answer(ctx, d, delivery.Done())
	})
}

func repeat(reason any, n int) []any {
	reasons := make([]any, n)
	for i := range reasons {
		reasons[i] = reason
	}
	return reasons
}

func TestAnInfrastructureFailureBacksOffAndNeverGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, quick, failing(repeat(fmt.Errorf("append: %w", infrastructure), 8)...))
		d := f.deliver("o-1", 1)
		f.after(time.Minute)
		want(t, d, delivery.Done())
		f.wantEvents("0s actor 1: o-1/1", "50ms actor 2: o-1/1", "150ms actor 3: o-1/1", "350ms actor 4: o-1/1", "750ms actor 5: o-1/1",
			"1.25s actor 6: o-1/1", "1.75s actor 7: o-1/1", "2.25s actor 8: o-1/1", "2.75s actor 9: o-1/1")
		f.wantIdle()
		f.wantEscalations(0)
	})
}

// A kind that the actor should have answered itself, and an unset kind, are defects, like a panic with any other value.
func TestADefectBeyondTheBudgetGivesUp(t *testing.T) {
	for _, reason := range []any{errBoom, &delivery.Failure{Kind: messages.Rejected, Err: errBoom}, &delivery.Failure{Err: errBoom}} {
		t.Run(fmt.Sprint(reason), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t, quickWith(2), failing(repeat(reason, 3)...))
				d := f.deliver("o-1", 1)
				f.after(time.Minute)
				want(t, d, delivery.Done())
				f.wantEvents("0s actor 1: o-1/1", "50ms actor 2: o-1/1", "150ms actor 3: o-1/1",
					"350ms actor 4: give up, "+delivery.AsFailure(reason).Error(), "350ms actor 4: o-1/1")
				f.wantIdle()
			})
		})
	}
}

func TestAnOrderThatCannotBeGivenUpIsRedeliveredLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, quickWith(1), failing(repeat("a panic without an error", 99)...))
		one, two := f.deliver("o-1", 1), f.deliver("o-1", 2)
		f.after(time.Minute)
		want(t, one, delivery.Later(30*time.Second))
		want(t, two, delivery.Later(30*time.Second))
		f.wantEvents("0s actor 1: o-1/1", "50ms actor 2: o-1/1",
			"150ms actor 3: give up, defect failure: panic: a panic without an error", "150ms actor 3: o-1/1")
		f.wantIdle()
	})
}

func TestGiveUpIsRepeatedAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, quickWith(1), failing(errBoom, errBoom, infrastructure))
		d := f.deliver("o-1", 1)
		f.after(time.Minute)
		want(t, d, delivery.Done())
		f.wantEvents("0s actor 1: o-1/1", "50ms actor 2: o-1/1", "150ms actor 3: give up, defect failure: boom", "150ms actor 3: o-1/1",
			"350ms actor 4: give up, defect failure: boom", "350ms actor 4: o-1/1")
	})
}

func TestADeliveryDoneRestoresTheOrderBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := make(map[uint64]bool)
		f := start(t, quickWith(1), onDelivery(func(ctx actor.Context, _ int, d *delivery.Delivery) {
			switch {
			case d.Sequence == 99:
			case !seen[d.Sequence]:
				seen[d.Sequence] = true
				panic(errBoom)
			default:
				answer(ctx, d, delivery.Done())
			}
		}))
		f.deliver("o-1", 99) // It stays pending, so that the shard supervisor keeps the order.
		for n := range uint64(3) {
			d := f.deliver("o-1", n)
			f.after(time.Second)
			want(t, d, delivery.Done())
		}
		f.wantEvents("0s actor 1: o-1/99", "0s actor 1: o-1/0", "50ms actor 2: o-1/99", "50ms actor 2: o-1/0",
			"1s actor 2: o-1/1", "1.05s actor 3: o-1/99", "1.05s actor 3: o-1/1",
			"2s actor 3: o-1/2", "2.05s actor 4: o-1/99", "2.05s actor 4: o-1/2")
	})
}

func TestDeliveriesKeepTheirOrderAcrossARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, quick, onDelivery(func(ctx actor.Context, n int, d *delivery.Delivery) {
			if n == 1 {
				time.Sleep(time.Second) // 2 and 3 reach the mailbox during that time.
				panic(errBoom)
			}
			answer(ctx, d, delivery.Done())
		}))
		var all []*delivery.Delivery
		for n := range uint64(3) {
			all = append(all, newDelivery("o-1", n+1))
			f.Deliver(all[n])
		}
		f.after(time.Second)
		all = append(all, f.deliver("o-1", 4)) // Before the restart.
		f.after(time.Second)
		for _, d := range all {
			want(t, d, delivery.Done())
		}
		f.wantEvents("0s actor 1: o-1/1", "1.05s actor 2: o-1/1", "1.05s actor 2: o-1/2", "1.05s actor 2: o-1/3", "1.05s actor 2: o-1/4")
		f.wantIdle()
	})
}

// The library's own restart is why the shard supervisor has a strategy of its own: the message that failed is lost, and
// those behind it are handled before it can be sent again.
func TestLibraryRestartLosesTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		system := newSystem()
		defer system.Shutdown()
		var handled []int
		pid := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
			if n, ok := ctx.Message().(int); ok {
				handled = append(handled, n)
				if len(handled) == 1 {
					time.Sleep(time.Second) // 2 reaches the mailbox during that time.
					panic(errBoom)
				}
			}
		}, actor.WithGuardian(actor.NewRestartingStrategy())))
		system.Root.Send(pid, 1)
		system.Root.Send(pid, 2)
		time.Sleep(time.Minute)
		synctest.Wait()
		if fmt.Sprint(handled) != "[1 2]" {
			t.Errorf("handled %v: the library's restart no longer drops the message that failed", handled)
		}
		_ = system.Root.StopFuture(pid).Wait()
	})
}

func TestAnswersBeforeAFailureAreHandledFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var one *delivery.Delivery
		f := start(t, quick, onDelivery(func(ctx actor.Context, n int, d *delivery.Delivery) {
			switch {
			case n == 3:
				answer(ctx, d, delivery.Done())
			case d.Sequence == 1:
				one = d
			case n == 2:
				answer(ctx, one, delivery.Done()) // It restores the order's budget and delay before the failure counts.
				panic(errBoom)
			default:
				panic(errBoom)
			}
		}))
		f.deliver("o-1", 1)
		two := f.deliver("o-1", 2)
		f.after(time.Second)
		want(t, one, delivery.Done())
		want(t, two, delivery.Done())
		f.wantEvents("0s actor 1: o-1/1", "0s actor 1: o-1/2", "50ms actor 2: o-1/1", "50ms actor 2: o-1/2", "100ms actor 3: o-1/2")
	})
}

func TestALateAnswerCancelsTheRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := supervision.Config{Backoff: backoff.Exponential{Initial: time.Minute, Max: time.Minute}}
		f := start(t, cfg, onDelivery(func(ctx actor.Context, _ int, d *delivery.Delivery) {
			answerAfter(ctx, time.Second, d)
			panic(errBoom)
		}))
		d := f.deliver("o-1", 1)
		f.after(time.Hour)
		want(t, d, delivery.Done())
		f.wantEvents("0s actor 1: o-1/1")
		f.wantIdle()
	})
}

func TestAnActorThatPanicsWhileItStopsStillTerminates(t *testing.T) {
	for _, message := range []any{&actor.Stopping{}, &actor.Stopped{}} {
		t.Run(fmt.Sprintf("%T", message), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t, quick, func(ctx actor.Context, n int, m any) {
					if fmt.Sprintf("%T", m) == fmt.Sprintf("%T", message) {
						panic(errBoom)
					}
					done(ctx, n, m)
				})
				want(t, f.deliver("o-1", 1), delivery.Done())
				want(t, f.deliver("o-1", 2), delivery.Done())
				f.wantIdle()
				f.Stop()
			})
		})
	}
}

func TestAPanicAtTheStartIsADefect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, quickWith(1), func(ctx actor.Context, n int, m any) {
			if _, ok := m.(*actor.Started); ok && n < 3 {
				panic(errBoom)
			}
			done(ctx, n, m)
		})
		d := f.deliver("o-1", 1)
		f.after(time.Second)
		want(t, d, delivery.Done())
		f.wantEvents("150ms actor 3: give up, defect failure: boom", "150ms actor 3: o-1/1")
	})
}
