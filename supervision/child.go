package supervision

import (
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/scheduler"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// phase of an order's actor. A new delivery is passed to it at once only while it is running.
type phase uint8

const (
	// notSpawned: no actor has been spawned.
	notSpawned phase = iota
	// running: the actor runs, or it has failed and childFailed has not been handled yet.
	running
	// stopping: the actor is being stopped and has not terminated.
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
	// first is the backing array of pending while it has one element.
	first [1]*delivery.Delivery

	// The fields below are used once the order has failed.

	// delay between the end of an actor and the start of the next one.
	delay         time.Duration
	cancelRestart scheduler.CancelFunc
	// failures counts those since the last delivery that was done; defects are those of them that the order's budget bounds.
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

// remove removes d from the pending deliveries and reports whether it was among them.
func (c *child) remove(d *delivery.Delivery) bool {
	i := slices.Index(c.pending, d)
	if i < 0 {
		return false
	}
	c.removeAt(i)
	return true
}

// take removes the i-th pending delivery.
func (c *child) removeAt(i int) *delivery.Delivery {
	d := c.pending[i]
	c.pending = slices.Delete(c.pending, i, i+1)
	return d
}

// resetFailures restores the order's budget.
func (c *child) resetFailures() { c.failures, c.defects, c.giveUp = 0, nil, nil }
