package index

import (
	"math"
	"time"

	"github.com/orderly-engine/orderly/messages"
)

// Bounds of what a row takes over from an order, in bytes; the journal has the whole.
const (
	maxCustomer = 256
	maxStep     = 128
	maxReason   = 1024
	maxCurrency = 16
)

// none stands for an amount that is none, and for a time that is not set.
const none = math.MinInt64

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
	// entered is when the order came into its status, updated when anything was last heard of it.
	entered int64
	updated int64
	// waits is when a parked order is woken at the latest, or none.
	waits int64
	// total in minor units, or none if the order names no amount.
	total    int64
	currency string
	plan     *plan
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

// plan is what rows share of the plan of their orders.
type plan struct {
	// id in the database, 0 before there is one; saved: it is there.
	id      int64
	saved   bool
	name    string
	version uint32
	steps   []string
}

// step is the name of step i, or nothing when there is none.
func (p *plan) step(i int) string {
	if p == nil || i >= len(p.steps) {
		return ""
	}
	return p.steps[i]
}

// fold applies one entry, which comes after those that were applied before.
func (r *row) fold(e *entry) {
	before := r.status
	for i := range e.events {
		r.apply(&e.events[i], e)
	}
	if r.status != before {
		r.entered = e.time
	}
	r.seq, r.updated = e.sequence, e.time
}

func (r *row) apply(ev *event, e *entry) {
	switch ev.kind {
	case kindAccepted:
		r.stored = false // a new life of an order that was forgotten is another row
		r.id, r.orderID, r.customer = e.sequence, string(e.orderID), ev.customer
		r.accepted, r.entered, r.total, r.currency, r.plan = e.time, e.time, ev.total, ev.currency, ev.plan
		r.status, r.waits, r.step = Running, none, ev.plan.step(0)
		r.done, r.backward, r.reason = 0, false, ""
	case kindStepCompleted:
		r.done++
		r.step = r.plan.step(r.done)
	case kindStepFailed, kindStepPending, kindStepUndone:
		r.step = ev.step
	case kindStepRejected:
		r.step, r.backward = ev.step, true
		r.status = Compensating
	case kindCancelRequested:
		r.backward = true
		if r.status == Running {
			r.status = Compensating
		}
	case kindParked:
		r.status, r.reason, r.waits = Parked, ev.reason, ev.until
	case kindResumed:
		r.status, r.reason, r.waits = Running, "", none
		if r.backward {
			r.status = Compensating
		}
	case kindAttention:
		r.status, r.step, r.reason, r.waits = Attention, ev.step, ev.reason, none
	case kindCompleted:
		r.end(Completed, "")
	case kindRejected:
		r.end(Rejected, ev.reason)
	case kindCancelled:
		r.end(Cancelled, ev.reason)
	}
}

func (r *row) end(status Status, reason string) {
	r.status, r.step, r.reason, r.waits = status, "", reason, none
}

// minor is an amount in minor units, or none.
func minor(units float64, currency string) int64 {
	if m, ok := messages.Minor(units, currency); ok {
		return m
	}
	return none
}
