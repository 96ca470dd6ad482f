package supervision

import (
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/scheduler"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// phase of an order's actor. A delivery that comes is passed on to it at once only while it is running.
type phase uint8

const (
	// unborn: no actor has been spawned.
	unborn phase = iota
	// running: the actor runs, or it has failed and childFailed is on its way.
	running
	// stopping: the actor was told to stop and has not terminated.
	stopping
	// waiting: the actor has terminated, and the next one is spawned at restartDue.
	waiting
)

// child is an order with unsettled deliveries, as its shard supervisor sees it.
type child struct {
	id    messages.OrderID
	pid   *actor.PID
	phase phase

	// pending deliveries, oldest first.
	pending []*delivery.Delivery
	// first is the memory of pending while there is one.
	first [1]*delivery.Delivery

	// What follows is used once the order has failed.

	// delay from the end of an actor to the start of the next one.
	delay         time.Duration
	cancelRestart scheduler.CancelFunc
	// failures since a delivery was done; the defects among them are those that the order's budget bounds.
	failures int
	defects  *actor.RestartStatistics
	// giveUp is sent to every new actor, ahead of the deliveries, until a delivery is done.
	giveUp *delivery.GiveUp
}

func newChild(id messages.OrderID) *child {
	c := &child{id: id}
	c.pending = c.first[:0]
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

// forgetFailures restores the order's budget.
func (c *child) forgetFailures() { c.failures, c.defects, c.giveUp = 0, nil, nil }
