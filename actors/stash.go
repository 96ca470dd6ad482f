package actors

import (
	"slices"
	"time"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages/delivery"
)

const (
	// maxStashed bounds the stashed deliveries of a node: they take up room for others.
	maxStashed = 256
	// stashFullDelay is when those beyond are delivered again.
	stashFullDelay = time.Second
)

// stash puts the first held delivery aside until the order starts, or d has passed.
func (o *Order) stash(d time.Duration) {
	if o.stashedCount.Add(1) > maxStashed {
		o.stashedCount.Add(-1)
		o.finish(delivery.Later(stashFullDelay))
		return
	}
	o.stashed = append(o.stashed, o.take())
	o.startTimer(d, (*Order).unstash)
}

// unstash holds the stashed deliveries again, before any that came later.
func (o *Order) unstash() {
	first := 0
	if o.busy {
		first = min(1, len(o.held)) // an operation may be under way for it
	} else {
		o.predecessors = order.PredecessorsUnknown
	}
	o.held = slices.Insert(o.held, first, o.stashed...)
	o.dropStash()
}

func (o *Order) dropStash() {
	o.stashedCount.Add(-int64(len(o.stashed)))
	o.stashed = nil
}
