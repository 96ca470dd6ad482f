package timeline

import (
	"encoding/json"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// View is an order as the outside sees it. Its JSON form is stable.
type View struct {
	OrderID    string `json:"order_id"`
	Status     string `json:"status"`
	CustomerID string `json:"customer_id"`
	Total      string `json:"total"`
	Currency   string `json:"currency"`
	Plan       string `json:"plan"`
	// StepsDone of Steps are done, and StepsUndone of them undone since.
	StepsDone   int `json:"steps_done"`
	StepsUndone int `json:"steps_undone,omitempty"`
	Steps       int `json:"steps"`
	// Reason of a rejected or cancelled order, or what an order in attention needs.
	Reason string `json:"reason,omitempty"`
	// WaitsFor says what a parked order waits for, WaitsUntil when it is woken at the latest.
	WaitsFor   string     `json:"waits_for,omitempty"`
	WaitsUntil *time.Time `json:"waits_until,omitempty"`
	// LastError is the latest failed attempt of the current step.
	LastError string    `json:"last_error,omitempty"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	UpdatedAt time.Time `json:"updated_at,omitzero"`
	Events    []Event   `json:"events"`
}

// Event is one moment of an order's story.
type Event struct {
	// Number of the journal entry within the order; events decided together share one.
	Number   uint32    `json:"number"`
	Sequence uint64    `json:"sequence"`
	Time     time.Time `json:"time"`
	Node     string    `json:"node"`
	Kind     string    `json:"kind"`
	// Summary is one sentence for people; it is not stable.
	Summary string `json:"summary"`
	// Detail is the event's protobuf message as JSON.
	Detail      json.RawMessage `json:"detail"`
	Traceparent string          `json:"traceparent,omitempty"`
}

// Of folds the entries of one order; the error wraps order.ErrIllegal when they are no legal history.
func Of(entries []journal.Entry) (*View, error) {
	state := &order.State{}
	v := &View{}
	for _, e := range entries {
		if err := state.Apply(e.Sequence, e.Entry); err != nil {
			return nil, err
		}
		v.Events = append(v.Events, Events(e)...)
	}
	v.fill(state)
	return v, nil
}

// Events are the moments of one journal entry.
func Events(e journal.Entry) []Event {
	events := make([]Event, 0, len(e.Entry.GetEvents()))
	for _, ev := range e.Entry.GetEvents() {
		detail, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(ev)
		if err != nil {
			detail = nil
		}
		events = append(events, Event{
			Number: e.Entry.GetNumber(), Sequence: e.Sequence, Time: e.Entry.GetTime().AsTime(), Node: e.Entry.GetNode(),
			Kind: messages.KindOf(ev), Summary: summary(ev, e.Entry.GetTime().AsTime()), Detail: detail, Traceparent: e.Entry.GetTraceparent(),
		})
	}
	return events
}

func (v *View) fill(s *order.State) {
	v.OrderID, v.Status = string(s.ID), s.Status.String()
	v.CustomerID, v.Currency = s.Order.GetCustomerId(), s.Order.GetCurrency()
	v.Total = amount(s.Order)
	v.Plan = fmt.Sprintf("%s v%d", s.Plan.GetName(), s.Plan.GetVersion())
	v.StepsDone, v.Steps = s.Done(), len(s.Plan.GetSteps())
	for _, r := range s.Results {
		if r.Undone {
			v.StepsUndone++
		}
	}
	v.CreatedAt, v.UpdatedAt = s.Began, s.Changed
	v.Reason = s.End
	if s.LastFailure != nil {
		v.LastError = s.LastFailure.GetError()
	}
	switch s.Status {
	case order.Attention:
		v.Reason = s.Need.GetCause()
	case order.Parked:
		until := s.ParkedUntil
		v.WaitsFor, v.WaitsUntil = s.ParkReason, &until
	}
}

// Ended reports whether nothing can happen to the order any more.
func (v *View) Ended() bool { return Ends(v.Status) }

// Ends reports whether an event of this kind, or a status of this name, is an order's end.
func Ends(word string) bool {
	switch word {
	case order.Completed.String(), order.Rejected.String(), order.Cancelled.String():
		return true
	}
	return false
}
