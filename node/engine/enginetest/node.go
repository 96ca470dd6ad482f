package enginetest

import (
	"context"
	"fmt"
	"time"

	"github.com/orderly-engine/orderly/actors"
	"github.com/orderly-engine/orderly/actors/downstream"
	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/supervision"
)

const (
	// ackWait is when the messages of a node that was killed are delivered to the next.
	ackWait = 5 * time.Second
	// hold is the longest wait in memory.
	hold = 10 * time.Second
)

// node has the parts of an engine, with the store in place of NATS. It is killed between any two of the requests that its
// parts make of the store and of the steps: from then on none of them is executed or answered.
type node struct {
	env    *Env
	steps  *gateway.Set
	guard  *downstream.Guard
	orders *actors.Factory
	tree   *supervision.Tree
	// dead: it was killed. Guarded by env.mu.
	dead bool
}

func newNode(e *Env) (*node, error) {
	n := &node{env: e}
	n.steps = gateway.New(nil, gateway.Config{Functions: e.functions})
	var err error
	if n.guard, err = downstream.New(n.steps, e.plan, nil, downstream.Config{Hold: hold}); err != nil {
		return nil, err
	}
	n.orders, err = actors.NewFactory(actors.Deps{
		Journal: n, Steps: n, Inbox: n, Timers: n,
	}, actors.Config{Node: "enginetest", Plan: e.plan, Hold: hold, AckWait: ackWait})
	if err != nil {
		return nil, err
	}
	n.tree, err = supervision.New(e.system, n.orders.Produce, supervision.Config{Shards: 1, OnEscalation: func(err error) {
		e.t.Errorf("enginetest: the engine stops: %v", err)
	}})
	return n, err
}

// stop ends the node's goroutines.
func (n *node) stop() {
	n.tree.Stop()
	n.orders.Close()
	n.guard.Close()
	n.steps.Close()
}

// Append implements actors.Journal.
func (n *node) Append(a *journal.Append) {
	if !n.env.passes(n, "before the append of "+a.Kinds) {
		return
	}
	sequence, err := n.env.journal.Append(a)
	if n.env.passes(n, "after the append of "+a.Kinds) {
		a.Done(a, sequence, err)
	}
}

// Read implements actors.Journal.
func (n *node) Read(ctx context.Context, id messages.OrderID) (entries []journal.Entry, fence uint64, err error) {
	entries, fence = n.env.journal.Read(id)
	return entries, fence, ctx.Err()
}

// FirstStored implements actors.Inbox.
func (n *node) FirstStored(ctx context.Context, id messages.OrderID, from uint64) (messages.StoredMessage, bool, error) {
	m, found := n.env.store.firstStored(id, from)
	return m, found, ctx.Err()
}

// Stored implements actors.Inbox.
func (n *node) Stored(ctx context.Context, id messages.OrderID) ([]*delivery.Delivery, error) {
	return n.env.store.storedAbout(id), ctx.Err()
}

// Schedule implements actors.Timers.
func (n *node) Schedule(ctx context.Context, t messages.Timer) error {
	if n.env.passes(n, "before the timer is set") {
		n.env.store.schedule(t)
		if n.env.passes(n, "after the timer is set") {
			return nil
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

// Do implements actors.Steps.
func (n *node) Do(c *gateway.Call, done gateway.Done) {
	name := fmt.Sprintf("the call of %s/%s #%d", c.Request.GetStep(), c.Request.GetDirection(), c.Attempt)
	if !n.env.passes(n, "before "+name) {
		n.env.undelivered(c)
		return
	}
	n.guard.Do(c, func(reply *messages.StepReply, err error) {
		if n.env.answered != nil {
			reply, err = n.env.answered(reply, err)
		}
		if n.env.passes(n, "after "+name) {
			done(reply, err)
		}
	})
}

// deliver passes a delivery to the tree.
func (n *node) deliver(d *delivery.Delivery) {
	d.Settler = settler{n, d}
	n.tree.Deliver(d)
}

// settler ends a delivery.
type settler struct {
	node     *node
	delivery *delivery.Delivery
}

func (s settler) Settle(o delivery.Outcome) {
	e, what := s.node.env, "the message "+string(s.delivery.Type)+" is settled"
	if e.passes(s.node, "before "+what) {
		e.store.settle(s.delivery, o)
		e.passes(s.node, "after "+what)
	}
}
