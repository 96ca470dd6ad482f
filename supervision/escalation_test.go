package supervision_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/orderly-engine/orderly/messages/backoff"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/supervision"
)

func always(reason any) behavior {
	return onDelivery(func(actor.Context, int, *delivery.Delivery) { panic(reason) })
}

func TestAnOutageEscalatesOnceAfterItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, supervision.Config{OutageLimit: time.Minute}, always(infrastructure))
		for n := range uint64(256) {
			f.Deliver(newDelivery(fmt.Sprint("o-", n), n))
		}
		f.after(59 * time.Second)
		f.wantEscalations(0)
		f.after(time.Minute)
		f.wantEscalations(1)
		if got := f.Pending(); got != 256 {
			t.Fatalf("%d pending, want all 256: an outage costs no order its delivery", got)
		}
		f.after(2 * time.Minute)
		f.wantEscalations(1)
	})
}

func TestADeliveryDoneEndsAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, supervision.Config{OutageLimit: time.Minute}, onDelivery(func(ctx actor.Context, _ int, d *delivery.Delivery) {
			if d.OrderID == "fails" {
				panic(infrastructure)
			}
			answer(ctx, d, delivery.Done())
		}))
		f.deliver("fails", 1)
		for n := range uint64(10) {
			f.after(45 * time.Second)
			f.deliver("works", n)
		}
		f.wantEscalations(0)
		f.after(2 * time.Minute)
		f.wantEscalations(1)
	})
}

func TestInfrastructureFailuresFarApartAreNoOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, supervision.Config{OutageLimit: time.Minute}, onDelivery(func(ctx actor.Context, n int, d *delivery.Delivery) {
			if n%2 == 1 {
				panic(infrastructure)
			}
			answer(ctx, d, delivery.Later(time.Second))
		}))
		for n := range uint64(5) {
			f.deliver("o-1", n)
			f.after(time.Hour)
		}
		f.wantEscalations(0)
	})
}

func TestANegativeOutageLimitNeverEscalates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, supervision.Config{OutageLimit: -1}, always(infrastructure))
		f.deliver("o-1", 1)
		f.after(time.Hour)
		f.wantEscalations(0)
	})
}

func quickWithSubsystem(failures int) supervision.Config {
	cfg := quick
	cfg.SubsystemBudget = supervision.Budget{Count: failures, Within: time.Hour}
	return cfg
}

// TestOrdersThatCannotBeGivenUpStopNothing: whatever fails one order, and however many orders, is not a failure of the node.
func TestOrdersThatCannotBeGivenUpStopNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, quickWithSubsystem(3), onDelivery(func(ctx actor.Context, _ int, d *delivery.Delivery) {
			if d.OrderID == "good" {
				answer(ctx, d, delivery.Done())
				return
			}
			panic(errBoom)
		}))
		for n := range uint64(50) {
			f.deliver(fmt.Sprint("o-", n), n)
			f.after(time.Second)
		}
		f.after(time.Hour)
		f.wantEscalations(0)
		want(t, f.deliver("good", 100), delivery.Done())
	})
}

func TestOneOrderAloneDoesNotEscalate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, quickWithSubsystem(3), always(errBoom))
		for n := range uint64(50) {
			f.deliver("o-1", n)
			f.after(30 * time.Second)
		}
		f.wantIdle()
		f.wantEscalations(0)
	})
}

// afterCrash is longer than the delay of a shard supervisor's first restart.
const afterCrash = 51 * time.Millisecond

func TestACrashedShardSupervisorStartsClean(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, quick, onDelivery(func(ctx actor.Context, n int, d *delivery.Delivery) {
			if n > 1 {
				answer(ctx, d, delivery.Done())
			}
		}))
		held := f.deliver("held", 1)
		crash := f.crash()
		waiting := f.deliver("later", 3)
		want(t, held)
		want(t, waiting)
		f.after(afterCrash)
		want(t, crash, delivery.Done())
		want(t, held, delivery.Later(0))
		want(t, waiting, delivery.Done())
		want(t, f.deliver("held", 4), delivery.Done())
		want(t, held, delivery.Later(0))
		f.wantIdle()
		f.wantEscalations(0)
	})
}

// Until it is restarted, a crashed shard supervisor handles nothing: not even the end of an order actor.
func TestACrashedShardSupervisorIgnoresItsActors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, quick, slowStop(2, time.Second))
		crash := newDelivery("crash", 1)
		crash.Settler = &outcomes{panics: true}
		f.deliver("o-1", 1)
		two := f.deliver("o-1", 2) // It waits for the actor that is stopping.
		f.Deliver(crash)
		f.after(time.Second)
		want(t, crash, delivery.Done())
		f.wantEvents("0s actor 1: o-1/1", "40ms actor 2: crash/1")
		f.after(time.Minute)
		want(t, two, delivery.Later(0))
		f.wantIdle()
	})
}

func TestCrashesOfShardSupervisorsEscalateOnceAndAreSurvived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, quickWithSubsystem(2), done)
		for n := range 5 {
			f.crash()
			f.after(time.Minute)
			f.wantEscalations(min(n/2, 1))
		}
		want(t, f.deliver("o-1", 1), delivery.Done())
		f.wantIdle()
	})
}

func TestStopDoesNotWaitForTheRestartOfAShardSupervisor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, quick, onDelivery(func(ctx actor.Context, n int, d *delivery.Delivery) {
			if d.OrderID != "held" {
				answer(ctx, d, delivery.Done())
			}
		}))
		held := f.deliver("held", 1)
		f.crash()
		waiting := f.deliver("later", 3)
		f.Stop()
		want(t, held, delivery.Later(0))
		want(t, waiting, delivery.Later(0))
		if waited := time.Since(f.begun); waited != 0 {
			t.Fatalf("stop waited %s", waited)
		}
		f.wantIdle()
	})
}

func TestStopSettlesWhatACrashedShardSupervisorHadNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		actors := 0
		tree, err := supervision.New(newSystem(), func() actor.Actor {
			if actors++; actors == 2 {
				panic(errBoom) // in the middle of the queue
			}
			return prompt()
		}, supervision.Config{Shards: 1})
		if err != nil {
			t.Fatal(err)
		}
		first := newDelivery("o-0", 0)
		first.Settler = &slowSettle{}
		tree.Deliver(first)
		synctest.Wait()
		queued := []*delivery.Delivery{newDelivery("o-1", 1), newDelivery("o-2", 2), newDelivery("o-3", 3)}
		for _, d := range queued {
			tree.Deliver(d)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		tree.Stop()
		for _, d := range queued {
			want(t, d, delivery.Later(0))
		}
	})
}

// Protoactor lets a restart overtake a stop that still waits for children.
func TestARestartDuringStopDoesNotKeepAShardSupervisorAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, quick, func(ctx actor.Context, n int, m any) {
			if d, ok := m.(*delivery.Delivery); ok && d.OrderID == "held" {
				return
			}
			if _, ok := m.(*actor.Stopping); ok {
				time.Sleep(2 * afterCrash)
			}
			done(ctx, n, m)
		})
		held := f.deliver("held", 1)
		f.crash()
		f.Stop()
		want(t, held, delivery.Later(0))
		f.wantIdle()
	})
}

func TestAShardSupervisorThatStopsEscalates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, quick, onDelivery(func(ctx actor.Context, _ int, _ *delivery.Delivery) { ctx.Stop(ctx.Parent()) }))
		d := f.deliver("o-1", 1)
		f.wantEscalations(1)
		f.Stop()
		want(t, d, delivery.Later(0))
	})
}

func TestRestartDelaysOfAShardSupervisorGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, supervision.Config{Backoff: backoff.Exponential{Initial: time.Nanosecond, Max: time.Nanosecond}}, done)
		for n := range 3 {
			f.crash()
			restarted := time.Duration(n+1) * 50 * time.Millisecond
			d := newDelivery("o-1", 1)
			f.Deliver(d)
			f.after(restarted - time.Millisecond)
			want(t, d)
			f.after(2 * time.Millisecond)
			want(t, d, delivery.Done())
		}
	})
}
