package supervision

import (
	"context"
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// HandleFailure makes the supervisor its order actors' strategy. The failed actor is suspended by now. The decision
// waits its turn behind the answers the actor gave before it failed.
func (v *supervisor) HandleFailure(_ *actor.ActorSystem, _ actor.Supervisor, who *actor.PID, _ *actor.RestartStatistics, reason, message any) {
	v.ctx.Send(v.ctx.Self(), &failed{who: who, failure: delivery.AsFailure(reason), message: actor.UnwrapEnvelopeMessage(message)})
}

func (v *supervisor) failed(m *failed) {
	c := v.of(m.who)
	if v.ending || c == nil || c.phase != alive {
		return
	}
	f := m.failure
	verb, delay := decide(f, v.account(c, f), v.tree.cfg.Backoff, v.tree.cfg.GiveUpDelay, v.tree.cfg.Rand)
	v.report(c, f, verb, delay)
	c.delay = delay
	switch verb {
	case restart:
		v.tree.meters.restarted(f.Kind)
	case giveUp:
		v.tree.meters.restarted(f.Kind)
		v.tree.meters.giveUps.Add(context.Background(), 1)
		c.giveUp = &delivery.GiveUp{Failure: f}
	case rest:
		c.delay = 0
		v.settleAll(c, delivery.Later(delay))
		v.tree.health.giveUpFailed(c.id, f)
	case bury:
		v.bury(c, m)
	case letGo:
		v.settleAll(c, delivery.Dropped())
	}
	v.stop(c)
}

// account books a failure on the order and, if it is one of infrastructure, on the subsystem.
func (v *supervisor) account(c *child, f *delivery.Failure) record {
	r := record{gaveUp: c.giveUp != nil}
	if f.Kind == messages.Infrastructure {
		v.tree.health.infrastructureFailed(f)
	}
	if defect(f.Kind) {
		r.overdrawn = !c.defects.spend(v.tree.cfg.OrderBudget, time.Now())
	}
	if f.Kind != messages.Transient {
		c.failures++
	}
	r.failures = c.failures
	return r
}

// bury makes a dead letter of the delivery the actor failed on: the message in its hands or, if that was none, the
// oldest pending one. A delivery it has answered already is settled and costs no other.
func (v *supervisor) bury(c *child, m *failed) {
	var d *delivery.Delivery
	if in, ok := m.message.(*delivery.Delivery); ok {
		d = in
	} else if len(c.pending) > 0 {
		d = c.pending[0]
	}
	if d != nil && c.remove(d) {
		v.settle(d, delivery.Dead(cause(m.failure)))
	}
	if len(c.pending) > 0 {
		v.tree.meters.restarted(m.failure.Kind)
	}
}

func cause(f *delivery.Failure) string {
	if f.Err == nil {
		return f.Error()
	}
	return f.Err.Error()
}

// report logs what an operator may have to act on. Transient failures are in the journal, and those of infrastructure
// are logged once for all orders.
func (v *supervisor) report(c *child, f *delivery.Failure, what verb, delay time.Duration) {
	log := v.tree.cfg.Logger
	switch what {
	case restart:
		if !defect(f.Kind) {
			return
		}
		var p *panicked
		if errors.As(f.Err, &p) {
			log = log.With(keyStack, string(p.stack))
		}
		log.Error("order actor is restarted", keyOrderID, c.id, keyKind, f.Kind.Label(), keyError, f.Err, keyDelay, delay)
	case giveUp:
		log.Error("order is given up", keyOrderID, c.id, keyKind, f.Kind.Label(), keyError, f.Err, keyDelay, delay)
	case rest:
		log.Error("order failed even when given up, it is put off", keyOrderID, c.id, keyKind, f.Kind.Label(), keyError, f.Err, keyDelay, delay)
	case bury:
		log.Warn("delivery is poison", keyOrderID, c.id, keyError, f.Err)
	case letGo:
		log.Debug("order is fenced, its deliveries are dropped", keyOrderID, c.id, keyError, f.Err)
	}
}
