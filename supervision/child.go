package supervision

import (
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// phase says where an order's actor is. Deliveries are passed on at once only in alive; in the other phases they wait
// among the pending ones for the next actor.
type phase uint8

const (
	// alive: the actor runs, or has failed and its failure is on the way.
	alive phase = iota + 1
	// stopping: it was told to stop and has not terminated yet.
	stopping
	// waiting: it has terminated; the next one is spawned when the timer calls.
	waiting
	// gone: it terminated untold; its last answers are still to be heard.
	gone
)

// child is an order that holds a delivery: its actor, if there is one, and everything of it that must be settled.
type child struct {
	id    messages.OrderID
	pid   *actor.PID
	phase phase

	// pending deliveries, oldest first.
	pending []*delivery.Delivery
	one     [1]*delivery.Delivery

	// What follows is used once the order has failed.

	// delay before the next actor is spawned, from the end of the last one.
	delay time.Duration
	timer *time.Timer
	// failures in a row without a delivery done, but for transient ones.
	failures int
	defects  window
	// giveUp is sent ahead of the deliveries, to every new actor until a delivery is done.
	giveUp *delivery.GiveUp
}

func newChild(id messages.OrderID) *child {
	c := &child{id: id}
	c.pending = c.one[:0]
	return c
}

// remove takes d out of the pending deliveries and reports whether it was there.
func (c *child) remove(d *delivery.Delivery) bool {
	i := slices.Index(c.pending, d)
	if i < 0 {
		return false
	}
	c.take(i)
	return true
}

// take removes the i-th pending delivery.
func (c *child) take(i int) *delivery.Delivery {
	d := c.pending[i]
	c.pending = slices.Delete(c.pending, i, i+1)
	return d
}

// progressed forgets the failures: the order has brought a delivery to its end.
func (c *child) progressed() {
	if c.failures == 0 {
		return
	}
	c.failures = 0
	c.defects.reset()
	c.giveUp = nil
}

// Messages of an order supervisor to itself.
type (
	// arrived: the intake is no longer empty.
	arrived struct{}
	// failed: the actor has failed, and everything it answered before has been heard.
	failed struct {
		who     *actor.PID
		failure *delivery.Failure
		message any
	}
	// ended: the actor terminated untold, and everything it answered before has been heard.
	ended struct{ child *child }
	// due: the delay of a child's restart has passed.
	due struct{ child *child }
)

// IgnoreDeadLetterLogging: a timer may call a supervisor that has just stopped.
func (*due) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging: a delivery may arrive while the tree stops; Stop settles it.
func (*arrived) IgnoreDeadLetterLogging() {}
