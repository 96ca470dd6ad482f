package index

import (
	"time"

	"github.com/orderly-engine/orderly/node/server/index/wire"
)

// row is one order in the index. Times are Unix nanoseconds, or wire.Unset.
type row struct {
	// id is the journal sequence of the entry that accepted the order.
	id       uint64
	orderID  string
	customer string
	status   Status
	// step the order is at, or while it is undone the step of its last event.
	step       string
	reason     string
	acceptedAt int64
	// statusSince is the time of the last change of status, updatedAt that of the last entry. An order that is woken and parks
	// again without progress has been parked since parkedSince.
	statusSince int64
	updatedAt   int64
	// wakesAt is the latest time at which a parked order is woken.
	wakesAt int64
	// parkedSince is the time of the first park since the order last made progress.
	parkedSince int64
	// total in minor units, or wire.Unset if the order names no amount.
	total    int64
	currency string
	plan     *wire.Plan
	// stepsDone counts the completed steps; undoing: the order is being undone.
	stepsDone int
	undoing   bool
	// sequence of the last entry that is applied.
	sequence uint64

	// stored: the database has a row of this id, with this key in its indexes. dirty: that row is outdated.
	stored, dirty bool
	key           key
	// firstUnwritten is the sequence of the first entry that is not in the database, dirtySince the time at which it was read.
	// Every entry stored before asOf was read earlier.
	firstUnwritten   uint64
	dirtySince, asOf time.Time
}

// key is the part of a row that is in an index and can change. An update that keeps the key costs the database a third of one
// that changes it, and steps keep it.
type key struct {
	status      Status
	statusSince int64
}

// fold applies the next entry.
func (r *row) fold(e *wire.Entry) {
	before := r.status
	for i := range e.Events {
		r.apply(&e.Events[i], e)
	}
	switch {
	case r.status == Parked:
		// Also if it was parked before: it may have made progress in between, within this entry.
		r.statusSince = r.parkedSince
	case r.status != before:
		r.statusSince = e.Time
	}
	r.sequence, r.updatedAt = e.Sequence, e.Time
}

func (r *row) apply(ev *wire.Event, e *wire.Entry) {
	switch ev.Kind {
	case wire.Accepted, wire.StepCompleted, wire.StepRejected, wire.StepUndone, wire.Attention:
		r.parkedSince = wire.Unset
	case wire.Parked:
		if r.parkedSince == wire.Unset {
			r.parkedSince = e.Time
		}
	}
	switch ev.Kind {
	case wire.Accepted:
		r.stored = false // an order that the journal dropped and that is accepted again is another row
		r.id, r.orderID, r.customer = e.Sequence, string(e.OrderID), ev.Customer
		r.acceptedAt, r.statusSince, r.total, r.currency, r.plan = e.Time, e.Time, ev.Total, ev.Currency, ev.Plan
		r.status, r.wakesAt, r.step = Running, wire.Unset, ev.Plan.Step(0)
		r.stepsDone, r.undoing, r.reason = 0, false, ""
	case wire.StepCompleted:
		r.stepsDone++
		r.step = r.plan.Step(r.stepsDone)
	case wire.StepFailed, wire.StepPending, wire.StepUndone:
		r.step = ev.Step
	case wire.StepRejected:
		r.step, r.undoing = ev.Step, true
		r.status = Compensating
	case wire.CancelRequested:
		r.undoing = true
		if r.status == Running {
			r.status = Compensating
		}
	case wire.Parked:
		r.status, r.reason, r.wakesAt = Parked, ev.Reason, ev.Until
	case wire.Resumed:
		r.status, r.reason, r.wakesAt = Running, "", wire.Unset
		if r.undoing {
			r.status = Compensating
		}
	case wire.Attention:
		r.status, r.step, r.reason, r.wakesAt = Attention, ev.Step, ev.Reason, wire.Unset
	case wire.Completed:
		r.end(Completed, "")
	case wire.Rejected:
		r.end(Rejected, ev.Reason)
	case wire.Cancelled:
		r.end(Cancelled, ev.Reason)
	}
}

func (r *row) end(status Status, reason string) {
	r.status, r.step, r.reason, r.wakesAt = status, "", reason, wire.Unset
}
