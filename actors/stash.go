package actors

import (
	"slices"
	"time"
)

const (
	// maxStashed bounds the stashed deliveries of a node, because they count as in flight.
	maxStashed = 256
	// stashFullDelay is the redelivery delay of messages beyond maxStashed.
	stashFullDelay = time.Second
)

// stash stashes the first held delivery until the order starts, or d has passed.
func (o *Order) stash(d time.Duration) {
	if o.stashedCount.Add(1) > maxStashed {
		o.stashedCount.Add(-1)
		o.await(stashFullDelay)
		return
	}
	o.stashed = append(o.stashed, o.take())
	o.startTimer(d, (*Order).unstash)
}

// unstash holds the stashed deliveries again, before any that arrived later.
func (o *Order) unstash() {
	first := 0
	if o.busy {
		first = min(1, len(o.held)) // an operation may be in progress for it
	} else {
		o.search = nil
	}
	o.held = slices.Insert(o.held, first, o.stashed...)
	o.dropStash()
}

func (o *Order) dropStash() {
	o.stashedCount.Add(-int64(len(o.stashed)))
	o.stashed = nil
}
