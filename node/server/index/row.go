package index

import (
	"time"

	"github.com/orderly-engine/orderly/node/server/index/wire"
)

// row is what the index knows of one order. Times are Unix nanoseconds.
type row struct {
	// id is the journal sequence of the entry that accepted the order.
	id       uint64
	orderID  string
	customer string
	status   Status
	// step the order is at, or the last one heard of while it is being undone.
	step     string
	reason   string
	accepted int64
	// entered is when the order came into its status, updated when anything was last heard of it. An order that is called
	// now and then, and parks again, has been parked since it rested first.
	entered int64
	updated int64
	// waits is when a parked order is woken at the latest, or none.
	waits int64
	// rested is when the order first parked since it last got any further, or none.
	rested int64
	// total in minor units, or none if the order names no amount.
	total    int64
	currency string
	plan     *wire.Plan
	// done counts the steps that were completed; backward: the order is being undone.
	done     int
	backward bool
	// seq is the journal sequence of the last entry that is folded in.
	seq uint64

	// stored: the database has a row of this id, with this key in its indexes. dirty: what it has is not the latest.
	stored, dirty bool
	key           key
	// first is the sequence of the first entry that is not in the database, since when it was read; what was stored before
	// lacks was read earlier.
	first        uint64
	since, lacks time.Time
}

// key is what of a row is in an index and can change. What leaves it alone costs the database a third of what changes it,
// and an order that goes from step to step does.
type key struct {
	status  Status
	entered int64
}

// fold applies one entry, which comes after those that were applied before.
func (r *row) fold(e *wire.Entry) {
	before := r.status
	for i := range e.Events {
		r.apply(&e.Events[i], e)
	}
	switch {
	case r.status == Parked:
		// Also of an order that was parked before: it may have got further in between, within this very entry.
		r.entered = r.rested
	case r.status != before:
		r.entered = e.Time
	}
	r.seq, r.updated = e.Sequence, e.Time
}

func (r *row) apply(ev *wire.Event, e *wire.Entry) {
	switch ev.Kind {
	case wire.Accepted, wire.StepCompleted, wire.StepRejected, wire.StepUndone, wire.Attention:
		r.rested = wire.None
	case wire.Parked:
		if r.rested == wire.None {
			r.rested = e.Time
		}
	}
	switch ev.Kind {
	case wire.Accepted:
		r.stored = false // a new life of an order that was forgotten is another row
		r.id, r.orderID, r.customer = e.Sequence, string(e.OrderID), ev.Customer
		r.accepted, r.entered, r.total, r.currency, r.plan = e.Time, e.Time, ev.Total, ev.Currency, ev.Plan
		r.status, r.waits, r.step = Running, wire.None, ev.Plan.Step(0)
		r.done, r.backward, r.reason = 0, false, ""
	case wire.StepCompleted:
		r.done++
		r.step = r.plan.Step(r.done)
	case wire.StepFailed, wire.StepPending, wire.StepUndone:
		r.step = ev.Step
	case wire.StepRejected:
		r.step, r.backward = ev.Step, true
		r.status = Compensating
	case wire.CancelRequested:
		r.backward = true
		if r.status == Running {
			r.status = Compensating
		}
	case wire.Parked:
		r.status, r.reason, r.waits = Parked, ev.Reason, ev.Until
	case wire.Resumed:
		r.status, r.reason, r.waits = Running, "", wire.None
		if r.backward {
			r.status = Compensating
		}
	case wire.Attention:
		r.status, r.step, r.reason, r.waits = Attention, ev.Step, ev.Reason, wire.None
	case wire.Completed:
		r.end(Completed, "")
	case wire.Rejected:
		r.end(Rejected, ev.Reason)
	case wire.Cancelled:
		r.end(Cancelled, ev.Reason)
	}
}

func (r *row) end(status Status, reason string) {
	r.status, r.step, r.reason, r.waits = status, "", reason, wire.None
}
