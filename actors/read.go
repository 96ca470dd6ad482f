package actors

import (
	"context"
	"fmt"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// read reads the order's journal again.
func (o *Order) read() {
	id := o.id()
	pipeToSelf(o, func(ctx context.Context) (loaded, error) { return o.load(ctx, id) }, (*Order).merge)
}

// loaded is an order as its journal has it, and the fence of the next append.
type loaded struct {
	state *order.State
	fence uint64
}

// load folds the order's journal.
func (f *Factory) load(ctx context.Context, id messages.OrderID) (loaded, error) {
	entries, fence, err := f.Journal.Read(ctx, id)
	if err != nil {
		return loaded{}, err
	}
	state := &order.State{}
	for _, e := range entries {
		if err := state.Restore(e.Sequence, e.Entry); err != nil {
			return loaded{}, defect(err)
		}
	}
	return loaded{state, fence}, nil
}

// merge replaces the state by the one that was read. A driver whose incarnation is no longer the owner has been fenced: it
// drops everything it holds, settles nothing, calls nothing (R4).
func (o *Order) merge(read loaded, err error) {
	if err != nil {
		o.fail(err)
	}
	state := read.state
	o.state, o.fence, o.current = state, read.fence, true
	if o.driver != nil && (state.Driver != order.SourceOf(o.driver) || state.Owner != o.driver.Incarnation) {
		o.instr.fenced()
		o.settle(o.driver, delivery.Dropped())
		o.endSpan("fenced")
		o.dropCall()
		o.driver, o.result, o.giveUp = nil, nil, nil
	}
}

// checkPredecessors finds out whether an earlier message of the order is stored and not recorded (R3.5).
func (o *Order) checkPredecessors(d *delivery.Delivery) {
	state := o.state
	pipeToSelf(o, func(ctx context.Context) (order.Predecessors, error) {
		found, err := o.pendingPredecessor(ctx, state, d)
		switch {
		case err != nil:
			return 0, fmt.Errorf("look for earlier messages: %w", err)
		case found:
			return order.PredecessorsPending, nil
		}
		return order.PredecessorsNone, nil
	}, (*Order).decideWith)
}

// pendingPredecessor reports whether the inbox holds a message of the order before d that is not recorded.
func (f *Factory) pendingPredecessor(ctx context.Context, state *order.State, d *delivery.Delivery) (bool, error) {
	for from := state.Watermark + 1; from < d.Sequence; {
		m, found, err := f.Inbox.FirstStored(ctx, d.OrderID, from)
		if err != nil || !found || m.Sequence >= d.Sequence {
			return false, err
		}
		// A created message has no effect on an order that exists, whether it is settled or not.
		if m.Type != messages.TypeCreated || state.Status == order.None {
			return true, nil
		}
		from = m.Sequence + 1
	}
	return false, nil
}

// decideWith stores whether the inbox has a message before the first held delivery. If there is no order, the journal is
// read again: one may have been accepted since (R3.6).
func (o *Order) decideWith(p order.Predecessors, err error) {
	if err != nil {
		o.fail(err)
	}
	o.predecessors = p
	o.current = p == order.PredecessorsPending || o.state.Status != order.None
}
