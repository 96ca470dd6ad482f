package timeline

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// Event is one event of an order. Its JSON form is stable.
type Event struct {
	// Number of the journal entry within the order; events decided together share one.
	Number   uint32    `json:"number"`
	Sequence uint64    `json:"sequence"`
	Time     time.Time `json:"time"`
	Node     string    `json:"node"`
	Kind     string    `json:"kind"`
	// Summary is a sentence for humans; it is not stable.
	Summary string `json:"summary"`
	// Detail is the event's protobuf message as JSON.
	Detail      json.RawMessage `json:"detail"`
	Traceparent string          `json:"traceparent,omitempty"`
}

// Driver is the node that drives an order.
type Driver struct {
	Node  string    `json:"node"`
	Since time.Time `json:"since"`
	// Cause is why the node began: accepted, takeover, restart, wake, signal, cancel, retry or skip.
	Cause string `json:"cause"`
}

// Story folds the journal entries of one order and describes their events. The zero value is an order before its first
// entry. It is not safe for concurrent use.
type Story struct {
	state order.State
	// since is when the order entered its status; driver is the current or last driver.
	since  time.Time
	driver Driver
	// undone are the steps undone so far, in that order; byHand those that an operator skipped.
	undone []string
	byHand map[string]bool
	// parks counts the parks since the order last made progress; firstParked is the time of the first.
	parks       int
	firstParked time.Time
}

// Apply folds the next entry and returns its events; the error wraps order.ErrIllegal if the history is not legal with it.
func (s *Story) Apply(e journal.Entry) ([]Event, error) {
	at, status, spent, need := e.Entry.GetTime().AsTime(), s.state.Status, s.state.Spent, s.state.AttentionCause
	if err := s.state.Apply(e.Sequence, e.Entry); err != nil {
		return nil, err
	}
	if s.state.Status != status {
		s.since = at
	}
	events := make([]Event, 0, len(e.Entry.GetEvents()))
	for _, ev := range e.Entry.GetEvents() {
		detail, err := messages.MarshalJSON(ev)
		if err != nil {
			detail = nil
		}
		m := eventContext{
			at: at, node: e.Entry.GetNode(), previousDriver: s.driver, attempt: spent + 1, plan: s.state.Plan,
			status: status, need: need, resumes: resumes(e.Entry),
		}
		events = append(events, Event{
			Number: e.Entry.GetNumber(), Sequence: e.Sequence, Time: at, Node: e.Entry.GetNode(),
			Kind: messages.KindOf(ev), Summary: m.summary(ev), Detail: detail, Traceparent: e.Entry.GetTraceparent(),
		})
		s.track(ev, at, e.Entry.GetNode())
	}
	return events, nil
}

// resumes reports whether the entry resumes the order.
func resumes(e *messages.JournalEntry) bool {
	return slices.ContainsFunc(e.GetEvents(), func(ev *messages.Event) bool { return ev.GetResumed() != nil })
}

// track updates the fields that are not part of the folded state.
func (s *Story) track(ev *messages.Event, at time.Time, node string) {
	switch k := ev.GetKind().(type) {
	case *messages.Event_Parked:
		if s.parks++; s.parks == 1 {
			s.firstParked = at
		}
	case *messages.Event_StepPending, *messages.Event_StepFailed:
	case *messages.Event_Resumed:
		if cause := k.Resumed.GetCause(); cause != "wake" && cause != "takeover" && cause != "restart" {
			s.parks = 0
		}
	default:
		s.parks = 0
	}
	switch k := ev.GetKind().(type) {
	case *messages.Event_Accepted:
		s.driver = Driver{Node: node, Since: at, Cause: "accepted"}
	case *messages.Event_Resumed:
		s.driver = Driver{Node: node, Since: at, Cause: k.Resumed.GetCause()}
	case *messages.Event_StepUndone:
		s.undone = append(s.undone, k.StepUndone.GetStep())
		if k.StepUndone.GetSkipped() {
			if s.byHand == nil {
				s.byHand = map[string]bool{}
			}
			s.byHand[k.StepUndone.GetStep()] = true
		}
	}
}

// Ended reports whether the order has ended.
func (s *Story) Ended() bool { return s.state.Status.Terminal() }

// Ends reports whether an event of this kind, or a status of this name, ends an order.
func Ends(kindOrStatus string) bool {
	switch kindOrStatus {
	case order.Completed.String(), order.Rejected.String(), order.Cancelled.String():
		return true
	}
	return false
}
