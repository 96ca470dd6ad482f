package actors

import (
	"slices"
	"time"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages/delivery"
)

const (
	// maxKept bounds the deliveries that wait for their orders in actors: they take the room of others.
	maxKept = 256
	// crowded is when those beyond come again.
	crowded = time.Second
)

// lookAgain tells an actor to decide anew about what it keeps.
type lookAgain struct{ actor *Order }

// IgnoreDeadLetterLogging: the order may have come, and its actor gone, long before the time is over.
func (*lookAgain) IgnoreDeadLetterLogging() {}

// putAside keeps the first held delivery until the order begins, or d has passed.
func (o *Order) putAside(d time.Duration) {
	if o.Factory.kept.Add(1) > maxKept {
		o.Factory.kept.Add(-1)
		o.finish(delivery.Later(crowded))
		return
	}
	o.kept = append(o.kept, o.take())
	self, root := o.ctx.Self(), o.ctx.ActorSystem().Root
	o.cfg.AfterFunc(d, func() { root.Send(self, &lookAgain{o}) })
}

// reconsider holds what was kept again, before anything that came later.
func (o *Order) reconsider() {
	o.Factory.kept.Add(-int64(len(o.kept)))
	first := 0
	if o.busy {
		first = min(1, len(o.held)) // may be under way
	} else {
		o.earlier = order.PredecessorsUnknown
	}
	o.held = slices.Insert(o.held, first, o.kept...)
	o.kept = nil
}
