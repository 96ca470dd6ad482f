package actors

import (
	"time"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// maxRefusal is the longest delay until an order is delivered again that the store had no room for.
const maxRefusal = 30 * time.Second

// admit reports whether the store has room for an order with this first entry until it ends.
func (o *Order) admit(size int) bool {
	if o.Room == nil {
		return true
	}
	if !o.Room.Admit(size) {
		return false
	}
	o.admitted = size
	return true
}

// unadmit gives the room of the order back: it has ended, or its timer counts.
func (o *Order) unadmit() {
	if o.admitted > 0 {
		o.Room.Release(o.admitted)
		o.admitted = 0
	}
}

// refuse leaves a created message in the inbox that no node has acted on (R2). It is nak'ed only while no redelivery of it can exist.
func (o *Order) refuse() {
	d := o.held[0]
	o.current = false
	if o.cfg.Local().Sub(d.Received) >= o.exclusiveFor() {
		o.finish(delivery.Dropped())
		return
	}
	o.finish(delivery.Later(min(time.Duration(d.Deliveries)*time.Second, maxRefusal)))
}

func (o *Order) exclusiveFor() time.Duration { return min(order.DefaultExclusiveFor, o.cfg.AckWait/3) }
