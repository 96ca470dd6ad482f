package actors

import (
	"time"

	"github.com/orderly-engine/orderly/messages/delivery"
)

// await has the first held delivery, whose order does not exist, redelivered after d. Until then, orders that this node accepts
// look for it in the inbox.
func (o *Order) await(d time.Duration) {
	o.noteAwait(d)
	o.finish(delivery.Later(d))
}

// noteAwait records that a message waits in the inbox for d, and until it is delivered again after that.
func (f *Factory) noteAwait(d time.Duration) {
	until := f.cfg.Now().Add(d + f.cfg.AckWait).UnixNano()
	for {
		last := f.awaitedUntil.Load()
		if until <= last || f.awaitedUntil.CompareAndSwap(last, until) {
			return
		}
	}
}

// othersWait reports whether messages about orders that do not exist may wait in the inbox, after a delivery to this node or, as
// far as is known, to another one.
func (f *Factory) othersWait() bool {
	until := f.awaitedUntil.Load()
	return until > 0 && f.cfg.Now().UnixNano() < until || f.cfg.Redelivering()
}
