package audit

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/orderly-engine/orderly/ingress/ledger"
	"github.com/orderly-engine/orderly/messages"
)

// attribution links an inbox message to the order whose history accounts for it.
type attribution struct {
	seq   uint64
	order messages.OrderID
	// accepted: the message created the order; otherwise its history records it.
	accepted bool
}

// checkAttributions reports messages that took effect twice, and those that the inbox cannot have stored: last was its last
// sequence after the journal and the dead letters were read. It sorts both.
func (r *Report) checkAttributions(attributions []attribution, dead []uint64, last uint64) {
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
	slices.Sort(dead)
	for _, seq := range slices.Compact(slices.Clone(dead)) {
		if seq > last {
			r.violate("", fmt.Sprintf("a dead letter names message %d of %s, which has stored only %d", seq, messages.StreamOrders, last))
		}
	}
}

// accountFor accounts for every sequence that the inbox had given out when it was read. The attributions come from the journal,
// dead are the sequences that dead letters name. A message can have several kinds of evidence: one that became a dead letter, was
// not terminated because of a crash, and was redelivered to an order accepted since. It counts once: by the ledger, or else by
// the journal, or else by its dead letter.
func (r *Report) accountFor(inbox window, attributions []attribution, dead []uint64, settled *ledger.State) {
	in, stored := &r.Inbox, inbox.set()
	in.EverStored, in.LedgerFloor = inbox.last, settled.Floor
	accounted := settled.Set.UpTo(inbox.last)
	r.countLedger(accounted.Len(), settled.Counts)
	waiting := stored.Without(accounted).Len()

	var accepted, recorded []uint64
	for _, a := range attributions {
		if a.accepted {
			accepted = append(accepted, a.seq)
		} else {
			recorded = append(recorded, a.seq)
		}
	}
	for _, each := range []struct {
		sequences []uint64
		count     *uint64
	}{{accepted, &in.Accepted}, {recorded, &in.Recorded}, {dead, &in.DeadLettered}} {
		found := ledger.NewSet(each.sequences).UpTo(inbox.last).Without(accounted)
		gone := found.Without(stored).Len()
		*each.count += gone
		in.Held += found.Len() - gone
		accounted = accounted.Union(found)
	}
	in.Waiting = waiting - in.Held

	missing := ledger.Range(1, inbox.last).Without(accounted).Without(stored)
	before := missing.UpTo(settled.Floor)
	r.Lost = missing.Without(before)
	in.BeforeLedger, in.Lost = before.Len(), r.Lost.Len()
	for _, run := range r.Lost {
		r.lose(run)
	}
}

// countLedger takes over the counts of the ledger, which was read after the inbox: messages that were stored since are not among
// the total, and most of them had no effect.
func (r *Report) countLedger(total uint64, counts ledger.Counts) {
	in := &r.Inbox
	for _, each := range []struct{ counted, count *uint64 }{
		{&in.HistoryDeleted, &counts.HistoryDeleted}, {&in.DeadLettered, &counts.DeadLettered}, {&in.WrittenOff, &counts.WrittenOff},
		{&in.WithoutEffect, &counts.WithoutEffect},
	} {
		*each.counted = min(*each.count, total)
		total -= *each.counted
	}
}
