package timeline

import (
	"encoding/json"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// Event is one moment of an order's story. Its JSON form is stable.
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

// Driver is the node that carries an order.
type Driver struct {
	Node  string    `json:"node"`
	Since time.Time `json:"since"`
	// Cause is why it began: accepted, takeover, wake, signal, cancel, retry or skip.
	Cause string `json:"cause"`
}

// Story folds the journal entries of one order as they come and tells each. The zero value is an order before its first
// entry. It is not safe for concurrent use.
type Story struct {
	state order.State
	// since is when the order came to its status, driver who carries it, or last did.
	since  time.Time
	driver Driver
	// undone are the steps undone so far, in that order; byHand those of which a person took care.
	undone []string
	byHand map[string]bool
	// parks counts those since the order last got further, waiting is when the first of them was.
	parks   int
	waiting time.Time
}

// Tell takes in the next entry and returns its moments; the error wraps order.ErrIllegal when no legal history goes on
// with it.
func (s *Story) Tell(e journal.Entry) ([]Event, error) {
	at, status, spent, need := e.Entry.GetTime().AsTime(), s.state.Status, s.state.Spent, s.state.AttentionCause
	if err := s.state.Apply(e.Sequence, e.Entry); err != nil {
		return nil, err
	}
	if s.state.Status != status {
		s.since = at
	}
	events := make([]Event, 0, len(e.Entry.GetEvents()))
	for _, ev := range e.Entry.GetEvents() {
		detail, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(ev)
		if err != nil {
			detail = nil
		}
		m := moment{
			at: at, node: e.Entry.GetNode(), before: s.driver, attempt: spent + 1, plan: s.state.Plan,
			status: status, need: need, resumes: resumes(e.Entry),
		}
		events = append(events, Event{
			Number: e.Entry.GetNumber(), Sequence: e.Sequence, Time: at, Node: e.Entry.GetNode(),
			Kind: messages.KindOf(ev), Summary: m.summary(ev), Detail: detail, Traceparent: e.Entry.GetTraceparent(),
		})
		s.note(ev, at, e.Entry.GetNode())
	}
	return events, nil
}

// resumes reports whether the order leaves its rest with the entry.
func resumes(e *messages.JournalEntry) bool {
	return slices.ContainsFunc(e.GetEvents(), func(ev *messages.Event) bool { return ev.GetResumed() != nil })
}

// note remembers what the folded state does not tell.
func (s *Story) note(ev *messages.Event, at time.Time, node string) {
	switch k := ev.GetKind().(type) {
	case *messages.Event_Parked:
		if s.parks++; s.parks == 1 {
			s.waiting = at
		}
	case *messages.Event_StepPending, *messages.Event_StepFailed:
	case *messages.Event_Resumed:
		if cause := k.Resumed.GetCause(); cause != "wake" && cause != "takeover" {
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

// Ended reports whether nothing can happen to the order any more.
func (s *Story) Ended() bool { return s.state.Status.Terminal() }

// Ends reports whether an event of this kind, or a status of this name, is an order's end.
func Ends(word string) bool {
	switch word {
	case order.Completed.String(), order.Rejected.String(), order.Cancelled.String():
		return true
	}
	return false
}
