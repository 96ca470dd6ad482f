package order

import (
	"errors"
	"fmt"
	"slices"

	"github.com/orderly-engine/orderly/messages"
)

// ErrIllegal is wrapped by every refusal of Apply.
var ErrIllegal = errors.New("illegal history")

// Apply folds the entry that the journal stored at seq into s. A refused entry leaves s unusable.
func (s *State) Apply(seq uint64, entry *messages.JournalEntry) error {
	if entry.GetNumber() != s.Number+1 {
		return s.illegal(entry, "entry", fmt.Sprintf("want number %d", s.Number+1))
	}
	if len(entry.GetEvents()) == 0 {
		return s.illegal(entry, "entry", "no events")
	}
	s.Last, s.Number = seq, entry.Number
	s.Changed = entry.GetTime().AsTime()
	if s.Number == 1 {
		s.ID, s.Began = messages.OrderID(entry.GetOrderId()), s.Changed
	}
	for _, e := range entry.Events {
		if why := s.apply(seq, e); why != "" {
			return s.illegal(entry, Kind(e), why)
		}
	}
	return nil
}

func (s *State) illegal(entry *messages.JournalEntry, what, why string) error {
	return fmt.Errorf("%w: order %s, entry %d, %s in status %s: %s", ErrIllegal, entry.GetOrderId(), entry.GetNumber(), what, s.Status, why)
}

// apply folds one event and returns why it cannot be, or "".
func (s *State) apply(seq uint64, e *messages.Event) string {
	switch k := e.GetKind().(type) {
	case *messages.Event_Accepted:
		return s.accepted(k.Accepted)
	case *messages.Event_StepCompleted:
		return s.stepCompleted(k.StepCompleted)
	case *messages.Event_StepFailed:
		return s.stepFailed(k.StepFailed)
	case *messages.Event_StepRejected:
		return s.stepRejected(k.StepRejected)
	case *messages.Event_StepPending:
		return s.stepPending(k.StepPending)
	case *messages.Event_StepUndone:
		return s.stepUndone(k.StepUndone)
	case *messages.Event_CancelRequested:
		return s.cancelRequested(k.CancelRequested)
	case *messages.Event_Signalled:
		return s.signalled(k.Signalled)
	case *messages.Event_Recorded:
		return s.recorded(k.Recorded)
	case *messages.Event_Parked:
		return s.parked(seq, k.Parked)
	case *messages.Event_Resumed:
		return s.resumed(k.Resumed)
	case *messages.Event_Attention:
		return s.attention(k.Attention)
	case *messages.Event_Completed:
		return s.end(Completed, "")
	case *messages.Event_Rejected:
		return s.end(Rejected, k.Rejected.GetReason())
	case *messages.Event_Cancelled:
		return s.end(Cancelled, k.Cancelled.GetReason())
	}
	return "an event of a kind this version does not know"
}

func (s *State) accepted(e *messages.OrderAccepted) string {
	if s.Status != None {
		return "accepted twice"
	}
	s.Status = Running
	s.Order, s.Plan = e.GetOrder(), e.GetPlan()
	s.Driver, s.Owner, s.Accepted = sourceFrom(e.GetDriver()), e.GetIncarnation(), e.GetDriver().GetSequence()
	if n := len(s.Plan.GetSteps()); cap(s.Results) < n {
		s.Results = make([]Result, 0, n)
	}
	return ""
}

func (s *State) stepCompleted(e *messages.StepCompleted) string {
	if why := s.expectStep(e.GetStep()); why != "" {
		return why
	}
	s.Results = append(s.Results, Result{Data: e.GetData(), Skipped: e.GetSkipped()})
	s.Closed = s.Closed || s.backward()
	if name := e.GetSignal(); name != "" {
		i := slices.IndexFunc(s.Signals, func(sig *messages.Signalled) bool { return sig.GetName() == name })
		if i < 0 {
			return fmt.Sprintf("no recorded signal %q", name)
		}
		s.Signals = slices.Delete(slices.Clone(s.Signals), i, i+1)
	}
	s.nextCall()
	return ""
}

// expectStep checks that name is the step that can become done, pending or refused now.
func (s *State) expectStep(name string) string {
	switch step := s.current(); {
	case !s.Status.Driven():
		return "nobody drives the order"
	case s.Closed:
		return "the way forward is closed"
	case step == nil:
		return "every step is done"
	case step.GetName() != name:
		return fmt.Sprintf("step %q, want %q", name, step.GetName())
	}
	return ""
}

// nextCall forgets what was known of the call that has come to its end.
func (s *State) nextCall() {
	s.Attempts, s.Spent, s.Takeovers, s.LastFailure, s.Pending, s.Skip = 0, 0, 0, nil, nil, false
}

func (s *State) stepFailed(e *messages.StepFailed) string {
	if !s.Status.Driven() {
		return "nobody drives the order"
	}
	s.Attempts++
	s.Spent++
	s.Takeovers = 0
	s.LastFailure = e
	return ""
}

func (s *State) stepRejected(e *messages.StepRejected) string {
	if why := s.expectStep(e.GetStep()); why != "" {
		return why
	}
	s.Refusal, s.Closed, s.Status = e, true, Compensating
	s.nextCall()
	return ""
}

func (s *State) stepPending(e *messages.StepPending) string {
	if why := s.expectStep(e.GetStep()); why != "" {
		return why
	}
	s.Pending = e
	s.Takeovers = 0
	return ""
}

func (s *State) stepUndone(e *messages.StepUndone) string {
	i := s.toUndo()
	switch {
	case s.Status != Compensating:
		return "not compensating"
	case s.unsettled():
		return "the step in doubt is not settled"
	case i < 0:
		return "nothing is left to undo"
	case s.Plan.Steps[i].GetName() != e.GetStep():
		return fmt.Sprintf("step %q, want %q", e.GetStep(), s.Plan.Steps[i].GetName())
	}
	if i == len(s.Results) {
		s.Results = append(s.Results, Result{})
	}
	s.Results[i].Undone = true
	s.Closed = true
	s.nextCall()
	return ""
}

// record moves the watermark to a message that has become part of the history.
func (s *State) record(src *messages.Source) string {
	if s.Status == None {
		return "no such order"
	}
	if s.Status.Terminal() {
		return "the order has ended"
	}
	s.Watermark = max(s.Watermark, src.GetSequence())
	return ""
}

func (s *State) cancelRequested(e *messages.CancelRequested) string {
	if s.Cancel == nil {
		s.Cancel = e
	}
	s.Spent, s.Skip = 0, false
	if s.Status == Running {
		s.Status = Compensating
	}
	return s.record(e.GetSource())
}

func (s *State) signalled(e *messages.Signalled) string {
	s.Signals = append(s.Signals, e)
	return s.record(e.GetSource())
}

func (s *State) recorded(e *messages.MessageRecorded) string {
	if s.Status == Attention {
		s.Spent = 0
		s.Skip = messages.Type(e.GetType()) == messages.TypeSkip
	}
	return s.record(e.GetSource())
}

func (s *State) parked(seq uint64, e *messages.OrderParked) string {
	if !s.Status.Driven() {
		return "nobody drives the order"
	}
	s.rest(Parked)
	s.Park, s.ParkedUntil, s.ParkReason = seq, e.GetUntil().AsTime(), e.GetReason()
	return ""
}

func (s *State) attention(e *messages.OrderNeedsAttention) string {
	if !s.Status.Driven() {
		return "nobody drives the order"
	}
	s.rest(Attention)
	s.Need = e
	return ""
}

// rest leaves the order without a driver.
func (s *State) rest(status Status) {
	s.Status, s.Driver, s.Owner, s.Takeovers = status, Source{}, "", 0
}

func (s *State) resumed(e *messages.OrderResumed) string {
	if s.Status == None || s.Status.Terminal() {
		return "the order is not alive"
	}
	if s.Status.Driven() {
		s.Takeovers++
	}
	s.Driver, s.Owner = sourceFrom(e.GetDriver()), e.GetIncarnation()
	s.Park, s.ParkReason, s.Need = 0, "", nil
	s.Status = Running
	if s.backward() {
		s.Status = Compensating
	}
	return ""
}

func (s *State) end(status Status, reason string) string {
	switch {
	case !s.Status.Driven():
		return "nobody drives the order"
	case status == Completed && !s.Finished():
		return "steps are left to do"
	case status == Completed && s.backward() && !s.beyondReturn():
		return "it is being undone"
	case status != Completed && s.unsettled():
		return "the step in doubt is not settled"
	case status == Cancelled && s.Cancel == nil:
		return "no cancel was requested"
	case status != Completed && s.toUndo() >= 0:
		return "steps are left to undo"
	}
	s.rest(status)
	s.End = reason
	return ""
}
