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

var errNATSAway = &delivery.Failure{Kind: messages.Infrastructure, Err: errors.New("no connection")}

func away(_ actor.Context, _ int, message any) {
	if _, ok := message.(*delivery.Delivery); ok {
		panic(errNATSAway)
	}
}

func TestAnOutageEscalatesOnceAfterItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, supervision.Config{OutageLimit: time.Minute}, away)
		for n := range uint64(256) {
			s.tree.Deliver(s.ledger.delivery(fmt.Sprint("o-", n), n))
		}
		s.after(59 * time.Second)
		s.wantEscalations(0)
		s.after(time.Minute)
		s.wantEscalations(1)
		if got := s.tree.Pending(); got != 256 {
			t.Fatalf("%d pending, want all 256: an outage costs no order its delivery", got)
		}
		s.after(2 * time.Minute)
		s.wantEscalations(1)
	})
}

func TestADeliveryDoneEndsAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, supervision.Config{OutageLimit: time.Minute}, func(ctx actor.Context, life int, message any) {
			if d, ok := message.(*delivery.Delivery); ok && d.OrderID == "works" {
				done(ctx, life, message)
				return
			}
			away(ctx, life, message)
		})
		s.deliver("fails", 1)
		for n := range uint64(10) {
			s.after(45 * time.Second)
			s.deliver("works", n)
		}
		s.wantEscalations(0)
		s.after(2 * time.Minute)
		s.wantEscalations(1)
	})
}

func TestInfrastructureFailuresFarApartAreNoOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, supervision.Config{OutageLimit: time.Minute}, func(ctx actor.Context, life int, message any) {
			if d, ok := message.(*delivery.Delivery); ok {
				if life%2 == 1 {
					panic(errNATSAway)
				}
				answer(ctx, d, delivery.Later(time.Second))
			}
		})
		for n := range uint64(5) {
			s.deliver("o-1", n)
			s.after(time.Hour)
		}
		s.wantEscalations(0)
	})
}

func TestANegativeOutageLimitNeverEscalates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, supervision.Config{OutageLimit: -1}, away)
		s.deliver("o-1", 1)
		s.after(time.Hour)
		s.wantEscalations(0)
	})
}

func defective(_ actor.Context, _ int, message any) {
	if _, ok := message.(*delivery.Delivery); ok {
		panic(errBoom)
	}
}

func TestOrdersThatFailEvenGivenUpEscalateBeyondTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := quick
		cfg.SubsystemBudget = supervision.Budget{Count: 3, Within: time.Hour}
		s := newStage(t, cfg, defective)
		for n := range uint64(3) {
			s.deliver(fmt.Sprint("o-", n), n)
		}
		s.after(time.Minute)
		s.wantEscalations(0)
		s.deliver("o-3", 3)
		s.after(time.Minute)
		s.wantEscalations(1)
		s.deliver("o-4", 4)
		s.after(time.Minute)
		s.wantEscalations(1)
	})
}

func TestOneOrderAloneDoesNotEscalate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := quick
		cfg.SubsystemBudget = supervision.Budget{Count: 3, Within: time.Hour}
		s := newStage(t, cfg, defective)
		for n := range uint64(50) {
			s.deliver("o-1", n)
			s.after(30 * time.Second)
		}
		s.wantIdle()
		s.wantEscalations(0)
	})
}

// crashing makes the code of the order supervisor panic: Settle runs there.
type crashing struct{ settled *int }

func (c crashing) Settle(delivery.Outcome) {
	*c.settled++
	panic("a settler that breaks its contract")
}

func TestACrashedSupervisorStartsClean(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var held *delivery.Delivery
		s := newStage(t, quick, func(ctx actor.Context, life int, message any) {
			if d, ok := message.(*delivery.Delivery); ok && d.OrderID == "held" && life == 1 {
				held = d
				return
			}
			done(ctx, life, message)
		})
		one := s.deliver("held", 1)
		waiting := s.ledger.delivery("later", 3)
		calls := 0
		crash := s.ledger.delivery("crash", 2)
		crash.Settler = crashing{&calls}
		s.tree.Deliver(crash)
		synctest.Wait()
		s.tree.Deliver(waiting)
		synctest.Wait()
		s.ledger.want(t, one)
		s.ledger.want(t, waiting)
		s.after(50 * time.Millisecond)
		s.ledger.want(t, one, delivery.Later(0))
		s.ledger.want(t, waiting, delivery.Done())
		if calls != 1 {
			t.Fatalf("the crashing delivery was settled %d times, want once", calls)
		}
		s.ledger.want(t, s.deliver("held", 4), delivery.Done())
		s.ledger.want(t, held, delivery.Later(0))
		s.wantIdle()
		s.wantEscalations(0)
	})
}

func TestCrashesOfSupervisorsEscalateOnceAndAreSurvived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := quick
		cfg.SubsystemBudget = supervision.Budget{Count: 2, Within: time.Hour}
		s := newStage(t, cfg, done)
		calls := 0
		for n := range 5 {
			d := s.ledger.delivery("crash", uint64(n))
			d.Settler = crashing{&calls}
			s.tree.Deliver(d)
			s.after(time.Minute)
			s.wantEscalations(min(n/2, 1))
		}
		s.ledger.want(t, s.deliver("o-1", 1), delivery.Done())
		s.wantIdle()
	})
}

func TestStopDoesNotWaitForTheRestartOfASupervisor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, supervision.Config{Backoff: backoff.Exponential{Initial: time.Hour, Max: time.Hour}}, func(ctx actor.Context, life int, message any) {
			if d, ok := message.(*delivery.Delivery); ok && d.OrderID != "held" {
				done(ctx, life, message)
			}
		})
		held := s.deliver("held", 1)
		calls := 0
		crash := s.ledger.delivery("crash", 2)
		crash.Settler = crashing{&calls}
		s.tree.Deliver(crash)
		synctest.Wait()
		waiting := s.deliver("later", 3)
		s.tree.Stop()
		s.ledger.want(t, held, delivery.Later(0))
		s.ledger.want(t, waiting, delivery.Later(0))
		if waited := time.Since(s.begun); waited != 0 {
			t.Fatalf("stop waited %s", waited)
		}
		s.wantIdle()
	})
}

func TestASupervisorThatIsStoppedEscalates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, quick, func(ctx actor.Context, _ int, message any) {
			if _, ok := message.(*delivery.Delivery); ok {
				ctx.Stop(ctx.Parent())
			}
		})
		d := s.deliver("o-1", 1)
		s.wantEscalations(1)
		s.tree.Stop()
		s.ledger.want(t, d, delivery.Later(0))
	})
}
