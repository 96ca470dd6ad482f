package supervision

import (
	"strconv"
	"strings"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// supervisor is an instance of an order supervisor. What must outlive it is in its shard.
type supervisor struct {
	*shard
	ctx   actor.Context
	props *actor.Props
	// born is what protoactor is spawning an actor from.
	born *life
	// ending: actors stop and none may be spawned.
	ending bool
	// broken: this instance has crashed; it must touch nothing any more.
	broken bool
}

func newSupervisor(s *shard) *supervisor {
	v := &supervisor{shard: s}
	v.props = actor.PropsFromProducer(func() actor.Actor {
		v.born = &life{guard: guard{order: produce(s.tree.order), log: s.tree.cfg.Logger}}
		return &v.born.guard
	}, actor.WithMailbox(func() actor.Mailbox { return &v.born.mailbox }), actor.WithDispatcher(&s.tree.workers))
	return v
}

// life is what one order actor is made of. Protoactor asks for the parts one after the other, in Spawn.
type life struct {
	guard
	mailbox
}

func (v *supervisor) Receive(ctx actor.Context) {
	if v.broken {
		return
	}
	switch m := ctx.Message().(type) {
	case *delivery.Settled:
		v.answered(m)
	case *actor.Terminated:
		v.terminated(m.Who)
	case *arrived:
		v.takeIn()
	case *failed:
		v.failed(m)
	case *ended:
		v.ended(m.child)
	case *due:
		v.due(m.child)
	case *actor.Started:
		v.begin(ctx)
	case *actor.Stopping:
		v.ending = true
	case *actor.Restarting:
		v.broken = true
	}
}

// begin settles what a crashed instance left behind: all its actors are gone.
func (v *supervisor) begin(ctx actor.Context) {
	v.ctx = ctx
	v.abandon()
	v.takeIn()
}

func (v *supervisor) takeIn() {
	if v.ending {
		return
	}
	v.swap()
	for v.taken < len(v.batch) {
		d := v.batch[v.taken]
		c := v.children[d.OrderID]
		if c == nil {
			c = newChild(d.OrderID)
			v.children[d.OrderID] = c
		}
		c.pending = append(c.pending, d)
		v.taken++
		switch c.phase {
		case alive:
			v.ctx.Send(c.pid, d)
		case 0:
			v.spawn(c)
		}
	}
}

// spawn starts an actor for c and gives it everything that is pending, oldest first.
func (v *supervisor) spawn(c *child) {
	pid, err := v.ctx.SpawnNamed(v.props, v.name(c.id))
	if err != nil {
		panic(err) // The name is unique.
	}
	v.actors.Add(1)
	c.pid, c.phase = pid, alive
	if c.giveUp != nil {
		v.ctx.Send(pid, c.giveUp)
	}
	for _, d := range c.pending {
		v.ctx.Send(pid, d)
	}
}

// name is the order id and a number, so that no two actors share a name and the id can be read back.
func (v *supervisor) name(id messages.OrderID) string {
	v.spawned++
	var buf [messages.MaxOrderIDLen + 16]byte
	b := append(buf[:0], id...)
	b = append(b, '$')
	return string(strconv.AppendUint(b, v.spawned, 36))
}

// of returns the child whose current actor is pid, or nil.
func (v *supervisor) of(pid *actor.PID) *child {
	name := pid.Id[len(v.ctx.Self().Id)+1:]
	c := v.children[messages.OrderID(name[:strings.LastIndexByte(name, '$')])]
	if c == nil || c.pid != pid {
		return nil
	}
	return c
}

// answered settles a delivery. An answer to a delivery that is not pending is late and has no effect.
func (v *supervisor) answered(m *delivery.Settled) {
	c := v.children[m.Delivery.OrderID]
	if c == nil || !c.remove(m.Delivery) {
		return
	}
	if m.Outcome.Kind == delivery.OutcomeDone {
		c.progressed()
		v.tree.health.done()
	}
	v.settle(m.Delivery, m.Outcome)
	if len(c.pending) == 0 {
		v.release(c)
	}
}

// release lets go of a child that holds nothing any more.
func (v *supervisor) release(c *child) {
	switch c.phase {
	case alive:
		v.stop(c)
	case waiting:
		v.forget(c)
	}
}

// stop ends the actor of c; terminated goes on from there.
func (v *supervisor) stop(c *child) {
	c.phase = stopping
	if !v.ending {
		v.ctx.Stop(c.pid)
	}
}

func (v *supervisor) forget(c *child) {
	v.disarm(c)
	delete(v.children, c.id)
}

func (v *supervisor) terminated(pid *actor.PID) {
	c := v.of(pid)
	if c == nil {
		return
	}
	v.actors.Add(-1)
	if v.ending {
		return
	}
	switch {
	case c.phase == alive:
		// Its answers are user messages, which this system message has overtaken.
		c.phase = gone
		v.ctx.Send(v.ctx.Self(), &ended{c})
	case len(c.pending) == 0:
		v.forget(c)
	case c.delay > 0:
		c.phase = waiting
		v.arm(c)
	default:
		v.spawn(c)
	}
}

// ended settles what an actor that stopped by itself left pending.
func (v *supervisor) ended(c *child) {
	if v.ending || v.children[c.id] != c || c.phase != gone {
		return
	}
	v.settleAll(c, delivery.Later(0))
	v.forget(c)
}

// due goes on with a restart whose delay has passed.
func (v *supervisor) due(c *child) {
	if v.ending || v.children[c.id] != c || c.phase != waiting {
		return
	}
	c.timer, c.delay = nil, 0
	v.spawn(c)
}
