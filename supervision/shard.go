package supervision

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// shard is a shard supervisor: the actor that spawns and stops the order actors of its share of the orders, answers their
// failures, and settles their deliveries. One value serves all restarts of the actor.
type shard struct {
	tree   *Tree
	number int
	// pid is set before the first delivery and stays the same through all restarts.
	pid    *actor.PID
	actors atomic.Int64

	mu sync.Mutex
	// queue holds the deliveries the actor has not taken yet. They are not sent to its mailbox: protoactor drops what is
	// in the mailbox of an actor that stops (TestStopUnderLoadSettlesEachDeliveryOnce).
	queue  []*delivery.Delivery
	closed bool

	// The fields below belong to the actor and, when it has stopped, to Tree.Stop.

	ctx actor.Context
	// batch was taken from the queue; batch[:taken] is among the children's pending deliveries.
	batch    []*delivery.Delivery
	taken    int
	children map[messages.OrderID]*child
	// handling: a message is being handled. A panic leaves it set until the restart, so that no other message is handled in
	// an inconsistent state.
	handling bool
	// stopping: no actor may be spawned any more.
	stopping bool
}

// Messages of a shard supervisor to itself.
type (
	// deliveriesQueued: the queue is no longer empty.
	deliveriesQueued struct{}
	// childFailed: an order actor failed, and everything it sent before has been handled.
	childFailed struct {
		pid     *actor.PID
		failure *delivery.Failure
	}
	// restartDue: the delay before an order actor is spawned again is over.
	restartDue struct{ child *child }
)

func (s *shard) Receive(ctx actor.Context) {
	switch ctx.Message().(type) {
	case *actor.Started:
	case *actor.Stopping:
		s.stopping = true
		return
	case *actor.Stopped:
		s.stopped()
		return
	default:
		if s.handling {
			return
		}
	}
	s.handling = true
	switch m := ctx.Message().(type) {
	case *actor.Started:
		s.started(ctx)
	case *actor.Terminated:
		s.terminated(m.Who)
	case *delivery.Settled:
		s.settled(m)
	case deliveriesQueued:
		s.takeQueue()
	case childFailed:
		s.childFailed(m.pid, m.failure)
	case restartDue:
		s.restartDue(m.child)
	}
	s.handling = false
}

// started is also called after a crash, when all order actors have stopped.
func (s *shard) started(ctx actor.Context) {
	s.ctx = ctx
	if s.isClosed() {
		// Tree.Stop stopped the actor while its restart was due: protoactor starts it instead.
		ctx.Stop(ctx.Self())
		return
	}
	s.settleTaken()
	s.takeQueue()
}

func (s *shard) stopped() {
	if !s.isClosed() {
		s.tree.escalate(fmt.Errorf("shard supervisor %d has stopped", s.number))
	}
	s.tree.running.Done()
}

// enqueue reports whether the shard accepts d, and whether its actor must be woken.
func (s *shard) enqueue(d *delivery.Delivery) (accepted, wake bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, false
	}
	s.queue = append(s.queue, d)
	return true, len(s.queue) == 1
}

// close makes enqueue refuse all deliveries.
func (s *shard) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

func (s *shard) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// nextBatch swaps queue and batch, whose deliveries must all have been taken.
func (s *shard) nextBatch() {
	clear(s.batch)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batch, s.queue, s.taken = s.queue, s.batch[:0], 0
}

// takeQueue passes the queued deliveries on to their order actors.
func (s *shard) takeQueue() {
	if s.stopping {
		return
	}
	s.nextBatch()
	for s.taken < len(s.batch) {
		d := s.batch[s.taken]
		c := s.children[d.OrderID]
		if c == nil {
			c = newChild(d.OrderID)
			s.children[d.OrderID] = c
		}
		c.pending = append(c.pending, d)
		s.taken++
		switch c.phase {
		case running:
			s.ctx.Send(c.pid, d)
		case notSpawned:
			s.spawn(c)
		}
	}
}

// spawn starts an actor for c and gives it everything that is pending, oldest first.
func (s *shard) spawn(c *child) {
	c.pid, c.phase = s.ctx.SpawnPrefix(s.tree.orderProps, string(c.id)), running
	s.actors.Add(1)
	if c.giveUp != nil {
		s.ctx.Send(c.pid, c.giveUp)
	}
	for _, d := range c.pending {
		s.ctx.Send(c.pid, d)
	}
}

// childOf returns the child whose current actor is pid, or nil. SpawnPrefix named the actor by its order id and "$n".
func (s *shard) childOf(pid *actor.PID) *child {
	id := pid.Id[len(s.ctx.Self().Id)+1 : strings.LastIndexByte(pid.Id, '$')]
	if c := s.children[messages.OrderID(id)]; c != nil && c.pid == pid {
		return c
	}
	return nil
}

// settled settles a delivery with the outcome that its order actor sent. A delivery that is not pending any more is settled
// already.
func (s *shard) settled(m *delivery.Settled) {
	c := s.children[m.Delivery.OrderID]
	if c == nil || !c.remove(m.Delivery) {
		return
	}
	if m.Outcome.Kind == delivery.OutcomeDone {
		c.resetFailures()
		s.tree.outage.end()
	}
	s.tree.settle(m.Delivery, m.Outcome)
	if len(c.pending) > 0 {
		return
	}
	switch c.phase {
	case running:
		s.stop(c)
	case waiting:
		s.remove(c)
	}
}

// stop stops the actor of c; terminated handles its end.
func (s *shard) stop(c *child) {
	c.phase = stopping
	if !s.stopping {
		s.ctx.Stop(c.pid)
	}
}

func (s *shard) remove(c *child) {
	if c.cancelRestart != nil {
		c.cancelRestart()
	}
	delete(s.children, c.id)
}

func (s *shard) terminated(pid *actor.PID) {
	c := s.childOf(pid)
	if c == nil {
		return
	}
	s.actors.Add(-1)
	switch {
	case s.stopping:
	case c.phase == running:
		// It stopped by itself.
		s.settlePending(c, delivery.Later(0))
		s.remove(c)
	case len(c.pending) == 0:
		s.remove(c)
	case c.delay > 0:
		c.phase = waiting
		c.cancelRestart = s.tree.timers.SendOnce(c.delay, s.pid, restartDue{c})
	default:
		s.spawn(c)
	}
}

// restartDue spawns the actor of c again, unless all deliveries of c have been settled since.
func (s *shard) restartDue(c *child) {
	if s.stopping || s.children[c.id] != c || c.phase != waiting {
		return
	}
	c.cancelRestart, c.delay = nil, 0
	s.spawn(c)
}

// settlePending settles all pending deliveries of c, oldest first.
func (s *shard) settlePending(c *child, o delivery.Outcome) {
	for len(c.pending) > 0 {
		s.tree.settle(c.removeAt(0), o)
	}
}

// settleTaken settles everything taken from the queue as Later(0) and removes all children. A delivery is removed before
// it is settled: when Settle panics, settleTaken can be called again.
func (s *shard) settleTaken() {
	for _, c := range s.children {
		s.settlePending(c, delivery.Later(0))
		s.remove(c)
	}
	for s.taken < len(s.batch) {
		d := s.batch[s.taken]
		s.taken++
		s.tree.settle(d, delivery.Later(0))
	}
	s.actors.Store(0)
}
