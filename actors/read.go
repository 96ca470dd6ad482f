package actors

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// read reads the order's journal again.
func (o *Order) read() {
	id, arrived := o.id(), len(o.held)
	pipeToSelf(o, func(ctx context.Context) (loaded, error) { return o.load(ctx, id) }, func(o *Order, read loaded, err error) {
		o.covered = arrived
		o.merge(read, err)
	})
}

// loaded is an order as its journal has it, and the fence of the next append.
type loaded struct {
	state *order.State
	fence uint64
	// size is that of the entries in bytes.
	size int64
}

// load folds the order's journal.
func (f *Factory) load(ctx context.Context, id messages.OrderID) (loaded, error) {
	entries, fence, err := f.Journal.Read(ctx, id)
	if err != nil {
		return loaded{}, err
	}
	state, size := &order.State{}, int64(0)
	for _, e := range entries {
		size += int64(proto.Size(e.Entry))
		if err := state.Restore(e.Sequence, e.Entry); err != nil {
			return loaded{}, defect(err)
		}
	}
	return loaded{state, fence, size}, nil
}

// merge replaces the state by the one that was read. A driver whose incarnation is no longer the owner has been fenced: it
// drops everything it holds, settles nothing, calls nothing (R4).
func (o *Order) merge(read loaded, err error) {
	if err != nil {
		o.fail(err)
	}
	state := read.state
	o.count(read.size - o.counted)
	o.state, o.fence, o.current = state, read.fence, true
	if o.driver != nil && (state.Driver != order.SourceOf(o.driver) || state.Owner != o.driver.Incarnation) {
		o.instr.fenced()
		o.settle(o.driver, delivery.Dropped())
		o.endSpan("fenced")
		o.dropCall()
		o.driver, o.result, o.giveUp = nil, nil, nil
	}
}
