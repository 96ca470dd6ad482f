package timeline

import (
	"fmt"
	"strings"
	"time"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// Received is the status of an order that waits in the inbox and is not accepted yet.
const Received = "received"

// View is an order as the outside sees it. Its JSON form is stable.
type View struct {
	OrderID string `json:"order_id"`
	Status  string `json:"status"`
	// StatusSince is when the order came to its status.
	StatusSince time.Time `json:"status_since"`
	CustomerID  string    `json:"customer_id"`
	Total       string    `json:"total"`
	Currency    string    `json:"currency"`
	Plan        string    `json:"plan"`
	// StepsDone of Steps are done, and StepsUndone of them undone since.
	StepsDone   int `json:"steps_done"`
	StepsUndone int `json:"steps_undone,omitempty"`
	Steps       int `json:"steps"`
	// Undone names the steps that were undone, in the order in which that happened. Kept names those of a rejected or
	// cancelled order that were performed and not undone.
	Undone []string `json:"undone,omitempty"`
	Kept   []string `json:"kept,omitempty"`
	// Driver is the node that carries the order; nil when it is at rest or has ended.
	Driver *Driver `json:"driver,omitempty"`
	// Next is the call that comes next, or is under way; nil when there is none, or a person must decide first.
	Next *Next `json:"next,omitempty"`
	// Reason of a rejected or cancelled order, or what an order in attention needs.
	Reason string `json:"reason,omitempty"`
	// ParkedFor is pending, retry or outage. WaitsFor says in words what a parked order waits for, WaitsSignal is the
	// signal it waits for, if it is one, and WaitsUntil when it is woken at the latest.
	ParkedFor   string     `json:"parked_for,omitempty"`
	WaitsFor    string     `json:"waits_for,omitempty"`
	WaitsSignal string     `json:"waits_signal,omitempty"`
	WaitsUntil  *time.Time `json:"waits_until,omitempty"`
	// LastError is the latest failed attempt of the current step.
	LastError string `json:"last_error,omitempty"`
	// Actions are the messages that make sense now: signal, retry, skip, cancel.
	Actions   []string  `json:"actions,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	Events    []Event   `json:"events"`

	story *Story
}

// Next is a step call to come.
type Next struct {
	Step string `json:"step"`
	// Direction is do or undo.
	Direction string `json:"direction"`
	// Attempt counts from 1 since the call was first made, or since a person last said retry; Attempts is how many the
	// plan allows, 0 if it does not say.
	Attempt  int `json:"attempt"`
	Attempts int `json:"attempts,omitempty"`
	// At is when it is made, if that was put off.
	At *time.Time `json:"at,omitempty"`
	// Settles: the order is being undone, and nobody knows if the step was performed: the call finds out.
	Settles bool `json:"settles,omitempty"`
}

// Of folds the entries of one order; the error wraps order.ErrIllegal when they are no legal history.
func New(entries []journal.Entry) (*View, error) {
	v := &View{story: &Story{}}
	for _, e := range entries {
		events, err := v.story.Tell(e)
		if err != nil {
			return nil, err
		}
		v.Events = append(v.Events, events...)
	}
	v.fill()
	return v, nil
}

// OfReceived is an order that waits in the inbox since the time given.
func NewReceived(id messages.OrderID, at time.Time) *View {
	return &View{
		OrderID: string(id), Status: Received, StatusSince: at, CreatedAt: at, UpdatedAt: at,
		Actions: []string{actCancel}, Events: []Event{},
	}
}

func (v *View) fill() {
	s := &v.story.state
	v.OrderID, v.Status, v.StatusSince = string(s.ID), s.Status.String(), v.story.since
	v.CustomerID, v.Currency = s.Order.GetCustomerId(), s.Order.GetCurrency()
	v.Total = amount(s.Order)
	v.Plan = fmt.Sprintf("%s v%d", s.Plan.GetName(), s.Plan.GetVersion())
	v.StepsDone, v.Steps = s.Done(), len(s.Plan.GetSteps())
	v.Undone, v.StepsUndone = v.story.undone, len(v.story.undone)
	v.CreatedAt, v.UpdatedAt = s.StartedAt, s.ChangedAt
	v.Reason = s.End
	if s.LastFailure != nil {
		v.LastError = s.LastFailure.GetError()
	}
	if s.Status.Driven() {
		driver := v.story.driver
		v.Driver = &driver
	}
	if !s.Status.Terminal() && s.Status != order.Attention {
		v.Next = next(s)
	}
	switch s.Status {
	case order.Attention:
		v.Reason = s.AttentionCause.GetCause()
	case order.Parked:
		v.fillPark(s)
	case order.Rejected, order.Cancelled:
		for i, r := range s.Results {
			if !r.Undone && !r.Skipped {
				v.Kept = append(v.Kept, s.Plan.Steps[i].GetName())
			}
		}
	}
	v.Actions = actions(s)
}

func (v *View) fillPark(s *order.State) {
	until, rest := s.ParkedUntil, s.ParkedFor()
	v.ParkedFor, v.WaitsFor, v.WaitsUntil = string(rest), s.ParkReason, &until
	switch rest {
	case order.ParkPending:
		if v.WaitsSignal = s.Pending.GetSignal(); v.WaitsSignal == "" {
			return
		}
		v.WaitsFor = fmt.Sprintf("signal %q for step %s", v.WaitsSignal, s.Pending.GetStep())
	case order.ParkOutage:
		// The step is told by what comes next.
		if _, reason, ok := strings.Cut(s.ParkReason, " waits: "); ok {
			v.WaitsFor = reason
		}
	case order.ParkRetry:
		v.WaitsFor = "the next attempt of " + v.Next.call()
	}
}

// next is the call that a driver would make, or nil.
func next(s *order.State) *Next {
	move := s.Next()
	if len(move.Events) > 0 {
		return nil
	}
	step := s.Plan.Steps[move.Call.Step]
	n := &Next{
		Step: step.GetName(), Direction: move.Call.Direction.Label(), Attempt: s.Spent + 1,
		Attempts: int(step.GetRetry().GetAttempts()), Settles: move.Call.ResolvesDoubt,
	}
	switch {
	case s.Status == order.Parked:
		at := s.ParkedUntil
		n.At = &at
	case s.LastFailure.GetRetryAt() != nil:
		at := s.LastFailure.GetRetryAt().AsTime()
		n.At = &at
	}
	return n
}

// call names the call; nil is one that nobody can name.
func (n *Next) call() string {
	switch {
	case n == nil:
		return "the call"
	case n.Direction == messages.Undo.Label():
		return "the undo of " + n.Step
	}
	return n.Step
}

// Ended reports whether nothing can happen to the order any more.
func (v *View) Ended() bool { return Ends(v.Status) }

// NeedsAttention tells the call about which a person must decide, and whether one must. The step is empty when there is
// no single one; the direction is do or undo, or empty without a step.
func (v *View) NeedsAttention() (step, direction string, needed bool) {
	if v.story == nil || v.story.state.Status != order.Attention {
		return "", "", false
	}
	need := v.story.state.AttentionCause
	if need.GetStep() == "" {
		return "", "", true
	}
	return need.GetStep(), need.GetDirection().Label(), true
}

// Last is the journal sequence of the latest entry told; 0: none.
func (v *View) Last() uint64 {
	if len(v.Events) == 0 {
		return 0
	}
	return v.Events[len(v.Events)-1].Sequence
}
