package audit

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/orderly-engine/orderly/messages"
)

// claim says that an inbox message is accounted for by an order.
type claim struct {
	seq      uint64
	order    messages.OrderID
	accepted bool
}

// settle accounts for every sequence the inbox had given out when it was read. The claims come from the journal, dead
// are the sequences named by dead letters, and last is the inbox's last sequence after both were read.
func (r *Report) settle(inbox window, claims []claim, dead []uint64, last uint64) {
	slices.SortFunc(claims, func(a, b claim) int { return cmp.Compare(a.seq, b.seq) })
	for i, c := range claims {
		switch {
		case c.seq == 0:
			r.offend(c.order, "its history does not say which inbox message it took in")
		case c.seq > last:
			r.offend(c.order, fmt.Sprintf("its history names message %d of %s, which has stored only %d", c.seq, messages.StreamOrders, last))
		case i > 0 && claims[i-1].seq == c.seq && claims[i-1].order == c.order:
			r.offend(c.order, fmt.Sprintf("message %d of %s took effect twice", c.seq, messages.StreamOrders))
		case i > 0 && claims[i-1].seq == c.seq:
			r.offend(c.order, fmt.Sprintf("message %d of %s took effect on order %s too", c.seq, messages.StreamOrders, claims[i-1].order))
		}
	}
	claims = slices.CompactFunc(claims, func(a, b claim) bool { return a.seq == b.seq })

	in := &r.Inbox
	in.EverStored = inbox.last
	for _, c := range claims {
		switch {
		case c.seq == 0 || c.seq > inbox.last:
		case inbox.stores(c.seq):
			in.Held++
		case c.accepted:
			in.Accepted++
		default:
			in.Recorded++
		}
	}
	slices.Sort(dead)
	for _, seq := range slices.Compact(dead) {
		_, taken := slices.BinarySearchFunc(claims, seq, func(c claim, seq uint64) int { return cmp.Compare(c.seq, seq) })
		switch {
		case seq > last:
			r.offend("", fmt.Sprintf("a dead letter names message %d of %s, which has stored only %d", seq, messages.StreamOrders, last))
		case seq > inbox.last || taken:
			// A message can be in both: dead-lettered, not terminated by a crash, delivered again to an order that exists by then.
		case inbox.stores(seq):
			in.Held++
		default:
			in.DeadLettered++
		}
	}
	in.Waiting = inbox.count - in.Held
	in.WithoutEffect = inbox.last - inbox.count - in.Accepted - in.Recorded - in.DeadLettered
}
