package supervision

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/orderly-engine/orderly/messages/delivery"
)

// guardian is the node's strategy for the shard supervisors. It runs on the goroutine of the one that panicked.
type guardian struct{ *Tree }

func (g *guardian) HandleFailure(system *actor.ActorSystem, node actor.Supervisor, pid *actor.PID, stats *actor.RestartStatistics, reason, message any) {
	g.instr.crashes.Add(context.Background(), 1)
	g.cfg.Logger.Error("shard supervisor panicked, restarting it", keyShard, pid.Id, keyReason, fmt.Sprint(reason), keyStack, string(debug.Stack()))
	if _, err := g.levels.node.rules[crash].apply(nil, delivery.AsFailure(reason)); err != nil {
		g.escalate(err)
	}
	g.levels.node.strategy.HandleFailure(system, node, pid, stats, reason, message)
}

// HandleFailure makes the shard supervisor the strategy of its order actors; protoactor has suspended the failed one. The
// library's strategies do not suffice: their restart drops the message that failed and keeps those behind it
// (TestLibraryRestartLosesTheOrder), and its delays have no jitter, so that all orders would restart at once after an
// outage.
//
// The failure is handled after the messages that the actor sent before it.
func (s *shard) HandleFailure(_ *actor.ActorSystem, _ actor.Supervisor, pid *actor.PID, _ *actor.RestartStatistics, reason, _ any) {
	s.ctx.Send(s.pid, childFailed{pid, delivery.AsFailure(reason)})
}

// childFailed does what newLevels specifies about the failure of an order actor, and stops the actor.
func (s *shard) childFailed(pid *actor.PID, f *delivery.Failure) {
	c := s.childOf(pid)
	if s.stopping || c == nil || c.phase != running {
		return
	}
	c.failures++
	class := classify(f, c.giveUp != nil)
	rule := s.tree.levels.shardSupervisor.rules[class]
	directive, err := rule.apply(c, f)
	if err != nil {
		s.tree.escalate(err)
	}
	delay := rule.delay(c.failures)
	c.delay = delay
	log := s.tree.cfg.Logger.With(keyOrderID, c.id, keyKind, f.Kind.Label(), keyError, f.Err, keyDelay, delay)
	switch directive {
	case restart:
		s.tree.instr.restarted(f.Kind)
		if class != infrastructure { // outageLimit logs once for all orders.
			log.Error("order actor failed, restarting it", keyStack, stackOf(f))
		}
	case giveUp:
		s.tree.instr.restarted(f.Kind)
		s.tree.instr.giveUps.Add(context.Background(), 1)
		log.Error("order exceeded its restart budget, giving it up")
		c.giveUp = &delivery.GiveUp{Failure: f}
	case redeliver:
		log.Error("giving the order up failed, redelivering its messages")
		c.delay = 0
		s.settlePending(c, delivery.Later(delay))
	}
	s.stop(c)
}
