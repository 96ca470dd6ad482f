package order

import (
	"errors"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
)

// maxCheckpoint is the largest checkpoint in bytes: signals that nobody waits for, or results of steps, may be large, and
// what is written with an entry must leave room for its events.
const maxCheckpoint = 32 << 10

// Checkpoint returns what the next entry is to carry so that whoever reads it later needs at most so many entries before
// it, besides the first; nil as long as there are no more, and while the state is too large. It is nil of a parked order,
// too: the next entry ends the park, and the one after can carry a checkpoint that need not tell of it.
func (s *State) Checkpoint(every uint32) *messages.Checkpoint {
	if s.Number < max(s.LastCheckpoint, 1)+every || s.Status == Parked {
		return nil
	}
	c := s.checkpoint()
	if proto.Size(c) > maxCheckpoint {
		return nil
	}
	return c
}

// checkpoint is the state without what the first entry tells.
func (s *State) checkpoint() *messages.Checkpoint {
	c := &messages.Checkpoint{
		Version:     messages.CheckpointVersion,
		First:       s.First,
		Status:      s.Status.String(),
		Driver:      &messages.Source{Stream: s.Driver.Stream, Sequence: s.Driver.Sequence},
		Owner:       s.Owner,
		Watermark:   s.Watermark,
		Closed:      s.Closed,
		Cancel:      s.Cancel,
		Refusal:     s.Refusal,
		Attempts:    uint32(s.Attempts),
		Spent:       uint32(s.Spent),
		LastFailure: s.LastFailure,
		Pending:     s.Pending,
		Signals:     s.Signals,
		Skip:        s.Skip,
		Need:        s.AttentionCause,
		Takeovers:   uint32(s.Takeovers),
	}
	for _, r := range s.Results {
		c.Results = append(c.Results, &messages.StepResult{Data: r.Data, Skipped: r.Skipped, Undone: r.Undone})
	}
	return c
}

// Recall folds as Apply does, but after the first entry may come one that carries a checkpoint, and those between are left
// out.
func (s *State) Restore(seq uint64, entry *messages.JournalEntry) error {
	if s.Number == 1 && entry.GetNumber() > 2 && messages.CheckpointSupported(entry.GetCheckpoint()) {
		s.Last, s.Number = entry.GetPrevious(), entry.GetNumber()-1
		s.restoreCheckpoint(entry.GetCheckpoint())
	}
	return s.Apply(seq, entry)
}

// restore makes s, which knows what the first entry tells, the state that c is of.
func (s *State) restoreCheckpoint(c *messages.Checkpoint) {
	s.Status = statusOf(c.GetStatus())
	s.Driver, s.Owner, s.Watermark = sourceFrom(c.GetDriver()), c.GetOwner(), c.GetWatermark()
	s.Results = s.Results[:0]
	for _, r := range c.GetResults() {
		s.Results = append(s.Results, Result{Data: r.GetData(), Skipped: r.GetSkipped(), Undone: r.GetUndone()})
	}
	s.Closed, s.Cancel, s.Refusal = c.GetClosed(), c.GetCancel(), c.GetRefusal()
	s.Attempts, s.Spent, s.LastFailure = int(c.GetAttempts()), int(c.GetSpent()), c.GetLastFailure()
	s.Pending, s.Signals, s.Skip = c.GetPending(), slices.Clip(c.GetSignals()), c.GetSkip()
	s.AttentionCause, s.Takeovers = c.GetNeed(), int(c.GetTakeovers())
}

// ErrCheckpoint is wrapped by what CheckCheckpoint finds.
var ErrCheckpoint = errors.New("the checkpoint is not what the entries before it come to")

// CheckCheckpoint compares the checkpoint of the entry that comes next, if it has one, with s, which was folded from every
// entry before it.
func (s *State) CheckCheckpoint(next *messages.JournalEntry) error {
	if c := next.GetCheckpoint(); messages.CheckpointSupported(c) && !proto.Equal(c, s.checkpoint()) {
		return ErrCheckpoint
	}
	return nil
}
