package order

import (
	"errors"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/messages"
)

// maxCheckpoint is the largest checkpoint in bytes: unused signals and results of steps may be large, and the entry must have
// room for its events.
const maxCheckpoint = 32 << 10

// Checkpoint returns the checkpoint for the next entry: one after that many entries, so that a reader needs no more
// than those, and the first. It is nil for all other entries, and for a state that is too large.
func (s *State) Checkpoint(every uint32) *messages.Checkpoint {
	if s.Number < max(s.LastCheckpoint, 1)+every {
		return nil
	}
	c := s.checkpoint()
	if proto.Size(c) > maxCheckpoint {
		return nil
	}
	return c
}

// checkpoint returns the state without the parts that the first entry holds.
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
		Kept:        uint32(s.Kept),
		KeptBytes:   uint32(s.KeptBytes),
		Skip:        s.Skip,
		Need:        s.AttentionCause,
		Takeovers:   uint32(s.Takeovers),
		Performed:   s.Performed,

		InDoubtSince:  timestampOf(s.InDoubtSince),
		CallableSince: timestampOf(s.CallableSince),
	}
	if s.Status == Parked {
		c.Park, c.Parked = s.Park, &messages.OrderParked{Reason: s.ParkReason, Until: timestamppb.New(s.ParkedUntil)}
	}
	for _, r := range s.Results {
		c.Results = append(c.Results, &messages.StepResult{Data: r.Data, Skipped: r.Skipped, Undone: r.Undone})
	}
	return c
}

// Restore folds like Apply, but the entries between the first one and one with a checkpoint may be missing.
func (s *State) Restore(seq uint64, entry *messages.JournalEntry) error {
	if s.Number == 1 && entry.GetNumber() > 2 && messages.CheckpointSupported(entry.GetCheckpoint()) {
		s.Last, s.Number = entry.GetPrevious(), entry.GetNumber()-1
		s.restoreCheckpoint(entry.GetCheckpoint())
	}
	return s.Apply(seq, entry)
}

// restoreCheckpoint completes s, which was folded from the first entry, with c.
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
	if p := c.GetParked(); p != nil {
		s.Park, s.ParkedUntil, s.ParkReason = c.GetPark(), p.GetUntil().AsTime(), p.GetReason()
	}
	s.Kept, s.KeptBytes = int(c.GetKept()), int(c.GetKeptBytes())
	s.AttentionCause, s.Takeovers = c.GetNeed(), int(c.GetTakeovers())
	s.Performed, s.InDoubtSince, s.CallableSince = c.GetPerformed(), timeOf(c.GetInDoubtSince()), timeOf(c.GetCallableSince())
}

// timestampOf is the timestamp of t, nil of the zero time; timeOf is the opposite.
func timestampOf(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func timeOf(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

// ErrCheckpoint is returned by CheckCheckpoint.
var ErrCheckpoint = errors.New("the checkpoint differs from the state of the entries before it")

// CheckCheckpoint compares the checkpoint of the next entry, if it has one, with s, which was folded from every entry before
// it.
func (s *State) CheckCheckpoint(next *messages.JournalEntry) error {
	if c := next.GetCheckpoint(); messages.CheckpointSupported(c) && !proto.Equal(c, s.checkpoint()) {
		return ErrCheckpoint
	}
	return nil
}
