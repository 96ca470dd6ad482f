package replay

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/messages"
)

// Status is the phase of an order, as in messages.Checkpoint.
type Status string

// The phases; the last three are final.
const (
	None         Status = ""
	Running      Status = "running"
	Compensating Status = "compensating"
	Parked       Status = "parked"
	Attention    Status = "attention"
	Completed    Status = "completed"
	Rejected     Status = "rejected"
	Cancelled    Status = "cancelled"
)

// Driven reports whether a delivery drives the order.
func (s Status) Driven() bool { return s == Running || s == Compensating }

// Ended reports whether the status is final.
func (s Status) Ended() bool { return s == Completed || s == Rejected || s == Cancelled }

// Wait is what a parked order waits for.
type Wait string

// A parked order waits for the signal of a pending step, for the next attempt of a failed call, or for a service that is
// unavailable or whose limits have no permit.
const (
	WaitPending Wait = "pending"
	WaitRetry   Wait = "retry"
	WaitOutage  Wait = "outage"
)

// Order is the state of an order by its entries. The zero value is an order without entries.
type Order struct {
	ID messages.OrderID
	// Last is the journal sequence of the last entry, Number its number, Checked the number of the latest with a checkpoint.
	Last            uint64
	Number, Checked uint32
	// Began and Changed are the times of the first and the last entry.
	Began, Changed *timestamppb.Timestamp
	// Accepted is the event that began the order.
	Accepted *messages.OrderAccepted
	// State is the required content of a checkpoint in the next entry.
	State *messages.Checkpoint
	// Park is the journal sequence of the current OrderParked, 0 unless parked; Parked is that event, Wait what it waits for.
	Park   uint64
	Parked *messages.OrderParked
	Wait   Wait
	// Reason is that of a rejected or cancelled order.
	Reason string
}

// Status is the current phase.
func (o *Order) Status() Status { return Status(o.State.GetStatus()) }

func (o *Order) steps() []*messages.Step { return o.Accepted.GetPlan().GetSteps() }

// compensating reports whether the order is compensated: it was cancelled, or a step was refused.
func (o *Order) compensating() bool { return o.State.GetCancel() != nil || o.State.GetRefusal() != nil }

// irreversible reports whether the last step of the plan is performed and has no undo: the order can only complete (R4c).
func (o *Order) irreversible() bool {
	steps, results := o.steps(), o.State.GetResults()
	last := len(steps) - 1
	return last >= 0 && len(results) == len(steps) && !results[last].GetSkipped() && steps[last].GetUndo() == ""
}

// due returns the indexes of the steps whose do and undo may be answered next, -1 for none. An order that is compensated first
// settles the step in doubt, the one after the last done; one that says in_doubt: undo may be undone at once instead. Then it
// undoes what is done, in reverse (R4c).
func (o *Order) due() (do, undo int) {
	do, undo = -1, -1
	steps, results := o.steps(), o.State.GetResults()
	if !o.State.GetClosed() && len(results) < len(steps) {
		do = len(results)
	}
	switch {
	case !o.compensating() || o.irreversible():
	case do >= 0:
		if undoneInDoubt(steps[do]) {
			undo = do
		}
		if o.State.GetRefusal() != nil {
			// It was refused in doubt.
			do = -1
		}
	default:
		for i, r := range results {
			if !r.GetUndone() && !r.GetSkipped() && steps[i].GetUndo() != "" {
				undo = i
			}
		}
	}
	return do, undo
}

func undoneInDoubt(s *messages.Step) bool {
	return s.GetInDoubt() == messages.InDoubt_IN_DOUBT_UNDO && s.GetUndo() != ""
}
