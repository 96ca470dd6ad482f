package timeline

import (
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// Received is the status of an order that is stored in the inbox and not accepted yet.
const Received = "received"

// View is the state of an order. Its JSON form is stable.
type View struct {
	OrderID string `json:"order_id"`
	Status  string `json:"status"`
	// StatusSince is when the order entered its status.
	StatusSince time.Time `json:"status_since"`
	CustomerID  string    `json:"customer_id"`
	Total       string    `json:"total"`
	Currency    string    `json:"currency"`
	Plan        string    `json:"plan"`
	// StepsDone counts the steps that are done, of Steps, and StepsUndone those of them that were undone.
	StepsDone   int `json:"steps_done"`
	StepsUndone int `json:"steps_undone,omitempty"`
	Steps       int `json:"steps"`
	// Undone names the steps that were undone, in that order. Kept names the steps of a rejected or cancelled order that were
	// performed and not undone.
	Undone []string `json:"undone,omitempty"`
	Kept   []string `json:"kept,omitempty"`
	// Driver is the node that drives the order; nil when no node does.
	Driver *Driver `json:"driver,omitempty"`
	// Next is the next or current step call; nil when there is none, or an operator must decide first.
	Next *Next `json:"next,omitempty"`
	// Reason of a rejected or cancelled order, or what an order in attention needs.
	Reason string `json:"reason,omitempty"`
	// ParkedFor is pending, retry or outage. WaitsFor describes what a parked order waits for, WaitsSignal is the name of the
	// signal it waits for, if any, and WaitsUntil is when its timer wakes it.
	ParkedFor   string     `json:"parked_for,omitempty"`
	WaitsFor    string     `json:"waits_for,omitempty"`
	WaitsSignal string     `json:"waits_signal,omitempty"`
	WaitsUntil  *time.Time `json:"waits_until,omitempty"`
	// LastError is the latest failed attempt of the current step.
	LastError string `json:"last_error,omitempty"`
	// InDoubtSince is since when the current call may have been performed, or since an operator last decided about it; nil: it
	// has a definite answer, or was not made. Performed: it was performed, and its answer could not be read.
	InDoubtSince *time.Time `json:"in_doubt_since,omitempty"`
	Performed    bool       `json:"performed,omitempty"`
	// Actions are the messages that have an effect now: signal, retry, skip, cancel.
	Actions []string `json:"actions,omitempty"`
	// TraceID is the trace in which the order was accepted, in hexadecimal; empty without one.
	TraceID   string    `json:"trace_id,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	Events    []Event   `json:"events"`

	story *Story
}

// Next is the next step call.
type Next struct {
	Step string `json:"step"`
	// Direction is do or undo.
	Direction string `json:"direction"`
	// Attempt counts from 1 since the first call, or since the last retry by an operator; Attempts is the plan's limit, 0 if
	// it has none.
	Attempt  int `json:"attempt"`
	Attempts int `json:"attempts,omitempty"`
	// At is when a delayed call is made.
	At *time.Time `json:"at,omitempty"`
	// Settles: the order is being undone and the step is in doubt: the call finds out if it was performed.
	Settles bool `json:"settles,omitempty"`
}

// New folds the entries of one order; the error wraps order.ErrIllegal if they are not a legal history.
func New(entries []journal.Entry) (*View, error) {
	v := &View{story: &Story{}}
	for _, e := range entries {
		events, err := v.story.Apply(e)
		if err != nil {
			return nil, err
		}
		v.Events = append(v.Events, events...)
	}
	v.fill()
	return v, nil
}

// NewReceived returns the view of an order that is in the inbox since at.
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
	if !s.InDoubtSince.IsZero() && !s.Status.Terminal() {
		since := s.InDoubtSince
		v.InDoubtSince, v.Performed = &since, s.Performed
	}
	if s.Status.Driven() {
		driver := v.story.driver
		v.Driver = &driver
	}
	if !s.Status.Terminal() && s.Status != order.Attention {
		v.Next = nextCall(s)
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
	if len(v.Events) > 0 {
		v.TraceID = traceID(v.Events[0].Traceparent)
	}
}

// traceID is that of a W3C traceparent, which a publisher may have written; empty if it is invalid.
func traceID(traceparent string) string {
	parts := strings.Split(traceparent, "-")
	if len(parts) < 4 {
		return ""
	}
	id, err := trace.TraceIDFromHex(parts[1])
	if err != nil {
		return ""
	}
	return id.String()
}

func (v *View) fillPark(s *order.State) {
	until, reason := s.ParkedUntil, s.ParkedFor()
	v.ParkedFor, v.WaitsFor, v.WaitsUntil = string(reason), s.ParkReason, &until
	switch reason {
	case order.ParkPending:
		if v.WaitsSignal = s.Pending.GetSignal(); v.WaitsSignal == "" {
			return
		}
		v.WaitsFor = fmt.Sprintf("signal %q for step %s", v.WaitsSignal, s.Pending.GetStep())
		if s.Pending.GetDirection() == messages.Undo {
			v.WaitsFor = fmt.Sprintf("signal %q for the undo of %s", v.WaitsSignal, s.Pending.GetStep())
		}
	case order.ParkOutage:
		// Next names the step.
		if _, cause, ok := strings.Cut(s.ParkReason, " waits: "); ok {
			v.WaitsFor = cause
		}
	case order.ParkRetry:
		v.WaitsFor = "the next attempt of " + v.Next.callName()
	}
}

// nextCall is the call that a driver would make, or nil.
func nextCall(s *order.State) *Next {
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

// callName names the call; a nil Next is an unknown call.
func (n *Next) callName() string {
	switch {
	case n == nil:
		return "the call"
	case n.Direction == messages.Undo.Label():
		return "the undo of " + n.Step
	}
	return n.Step
}

// Ended reports whether the order has ended.
func (v *View) Ended() bool { return Ends(v.Status) }

// NeedsAttention returns the call about which an operator must decide, and whether one must. The step is empty if there is no
// single one; the direction is do or undo, or empty without a step.
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

// LastSequence is the journal sequence of the latest entry; 0: none.
func (v *View) LastSequence() uint64 {
	if len(v.Events) == 0 {
		return 0
	}
	return v.Events[len(v.Events)-1].Sequence
}
