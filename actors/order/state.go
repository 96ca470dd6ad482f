package order

import (
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// State is the fold of an order's journal entries (R1).
type State struct {
	ID messages.OrderID
	// Last is the journal sequence of the last entry, the fence of the next append; 0: no entry.
	Last uint64
	// Number counts the entries; First is the journal sequence of the first, LastCheckpoint the number of the latest with a
	// checkpoint.
	Number         uint32
	First          uint64
	LastCheckpoint uint32
	Status         Status

	Order *messages.OrderCreated
	// Plan was pinned when the order was accepted.
	Plan *messages.Plan

	// Driver is the message whose delivery drives the order; zero when parked, in attention or terminal.
	Driver Source
	// Owner is the incarnation in the latest OrderAccepted or OrderResumed.
	Owner string
	// Accepted is the inbox sequence of the created message that was accepted.
	Accepted uint64
	// Watermark is the highest inbox sequence recorded (acceptance does not move it).
	Watermark uint64

	// Results has one element for each step that is done, in plan order.
	Results []Result
	// Closed: no step can become done any more, only undone.
	Closed bool
	// Cancel is the first cancel request, Refusal the rejected step; either starts compensation.
	Cancel  *messages.CancelRequested
	Refusal *messages.StepRejected

	// Attempts counts the failed attempts of the current call, Spent those since a person last decided about it.
	Attempts, Spent int
	// LastFailure is the latest failed attempt of the current call.
	LastFailure *messages.StepFailed
	// Pending is set while the current call waits for its signal.
	Pending *messages.StepPending
	// InDoubtSince is since when the current call may have been performed, or since when a person last decided about such a
	// call; zero: it has a definite answer, or was not made. CallableSince is the time of the last entry that is more than the
	// recording of a message: the current call may have been made since.
	InDoubtSince, CallableSince time.Time
	// Performed: an answer to the current call was unreadable; the call is performed.
	Performed bool
	// Uncalled: the entry that is being folded began the current call, which nobody can have made before it is stored. It is
	// false between entries.
	Uncalled bool
	// Signals are recorded and not yet used, oldest first.
	Signals []*messages.Signalled
	// Kept counts the signals that were recorded without being awaited, used ones included; KeptBytes is the size of their names
	// and data.
	Kept, KeptBytes int
	// Skip: a person skipped the current call.
	Skip bool

	// Park is the journal sequence of the current OrderParked, ParkedUntil when its timer is due.
	Park        uint64
	ParkedUntil time.Time
	ParkReason  string
	// AttentionCause says why a person must decide.
	AttentionCause *messages.OrderNeedsAttention
	// Takeovers counts the consecutive takeovers of the order without progress.
	Takeovers int
	// End is the reason of a rejected or cancelled order.
	End string
	// StartedAt and ChangedAt are the times of the first and the last entry.
	StartedAt, ChangedAt time.Time
}

// Source names a stored inbox message.
type Source struct {
	Stream   string
	Sequence uint64
}

// SourceOf is the message that d delivers.
func SourceOf(d *delivery.Delivery) Source { return Source{Stream: d.Stream, Sequence: d.Sequence} }

func sourceFrom(s *messages.Source) Source {
	return Source{Stream: s.GetStream(), Sequence: s.GetSequence()}
}

// Result is the result of a step that is done.
type Result struct {
	// Data is JSON text; empty: none.
	Data string
	// Skipped: passed over, and never undone.
	Skipped bool
	// Undone: its compensation was performed or passed over.
	Undone bool
}

// Recorded reports whether the inbox message at seq is in the history (R1).
func (s *State) Recorded(seq uint64) bool {
	return s.Status != None && (seq == s.Accepted || seq <= s.Watermark)
}

// Names reports whether the history names the message of the inbox. It names no created message but the one that was accepted.
func (s *State) Names(t messages.Type, seq uint64) bool {
	if t == messages.TypeCreated {
		return s.Status != None && seq == s.Accepted
	}
	return s.Recorded(seq)
}

// Done counts the steps that are done.
func (s *State) Done() int { return len(s.Results) }

// Finished reports whether every step of the plan is done.
func (s *State) Finished() bool { return len(s.Results) >= len(s.Plan.GetSteps()) }

// backward reports whether the order is being undone.
func (s *State) backward() bool { return s.Cancel != nil || s.Refusal != nil }

// current is the step after the last done one, or nil.
func (s *State) current() *messages.Step {
	if s.Finished() {
		return nil
	}
	return s.Plan.Steps[len(s.Results)]
}

// clone copies s so that events can be tried on it.
func (s *State) clone() *State {
	c := *s
	c.Results = append([]Result(nil), s.Results...)
	c.Signals = append([]*messages.Signalled(nil), s.Signals...)
	return &c
}
