package audit

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/orderly-engine/orderly/messages"
)

// attribution links an inbox message to the order whose history accounts for it.
type attribution struct {
	seq   uint64
	order messages.OrderID
	// accepted: the message created the order; otherwise its history records it.
	accepted bool
}

// accountFor accounts for every sequence that the inbox had given out when it was read. The attributions come from the
// journal, dead are the sequences that dead letters name, and last is the inbox's last sequence after both were read.
func (r *Report) accountFor(inbox window, attributions []attribution, dead []uint64, last uint64) {
	slices.SortFunc(attributions, func(a, b attribution) int { return cmp.Compare(a.seq, b.seq) })
	for i, a := range attributions {
		switch {
		case a.seq == 0:
			r.violate(a.order, "its history does not name the inbox message that it records")
		case a.seq > last:
			r.violate(a.order, fmt.Sprintf("its history names message %d of %s, which has stored only %d", a.seq, messages.StreamOrders, last))
		case i > 0 && attributions[i-1].seq == a.seq && attributions[i-1].order == a.order:
			r.violate(a.order, fmt.Sprintf("message %d of %s took effect twice", a.seq, messages.StreamOrders))
		case i > 0 && attributions[i-1].seq == a.seq:
			r.violate(a.order, fmt.Sprintf("message %d of %s took effect on order %s too", a.seq, messages.StreamOrders, attributions[i-1].order))
		}
	}
	attributions = slices.CompactFunc(attributions, func(a, b attribution) bool { return a.seq == b.seq })

	in := &r.Inbox
	in.EverStored = inbox.last
	for _, a := range attributions {
		switch {
		case a.seq == 0 || a.seq > inbox.last:
		case inbox.stores(a.seq):
			in.Held++
		case a.accepted:
			in.Accepted++
		default:
			in.Recorded++
		}
	}
	slices.Sort(dead)
	for _, seq := range slices.Compact(dead) {
		_, attributed := slices.BinarySearchFunc(attributions, seq, func(a attribution, seq uint64) int { return cmp.Compare(a.seq, seq) })
		switch {
		case seq > last:
			r.violate("", fmt.Sprintf("a dead letter names message %d of %s, which has stored only %d", seq, messages.StreamOrders, last))
		case seq > inbox.last || attributed:
			// A message can be in both: dead-lettered, not terminated because of a crash, and redelivered to an order
			// accepted since.
		case inbox.stores(seq):
			in.Held++
		default:
			in.DeadLettered++
		}
	}
	in.Waiting = inbox.count - in.Held
	in.WithoutEffect = inbox.last - inbox.count - in.Accepted - in.Recorded - in.DeadLettered
}
