package order

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/orderly-engine/orderly/messages"
)

// ErrIllegal is wrapped by every refusal of Apply.
var ErrIllegal = errors.New("illegal history")

// Apply folds the entry that the journal stored at seq into s. If it returns an error, s is unusable.
func (s *State) Apply(seq uint64, entry *messages.JournalEntry) error {
	if entry.GetNumber() != s.Number+1 {
		return s.illegal(entry, "entry", fmt.Sprintf("want number %d", s.Number+1))
	}
	if seq <= s.Last {
		return s.illegal(entry, "entry", fmt.Sprintf("stored at %d, not after %d", seq, s.Last))
	}
	if s.Number > 0 && entry.GetOrderId() != string(s.ID) {
		return s.illegal(entry, "entry", fmt.Sprintf("in the history of order %s", s.ID))
	}
	if len(entry.GetEvents()) == 0 {
		return s.illegal(entry, "entry", "no events")
	}
	s.Last, s.Number = seq, entry.Number
	s.ChangedAt = entry.GetTime().AsTime()
	if s.Number == 1 {
		s.ID, s.First, s.StartedAt = messages.OrderID(entry.GetOrderId()), seq, s.ChangedAt
	}
	if entry.Checkpoint != nil {
		s.LastCheckpoint = s.Number
	}
	for _, e := range entry.Events {
		if why := s.apply(seq, e); why != "" {
			return s.illegal(entry, messages.KindOf(e), why)
		}
	}
	s.Uncalled = false
	if slices.ContainsFunc(entry.Events, moves) {
		s.CallableSince = s.ChangedAt
	}
	return nil
}

// moves reports whether the event is more than the recording of a message: its driver may make the current call after it.
func moves(e *messages.Event) bool {
	switch e.GetKind().(type) {
	case *messages.Event_CancelRequested, *messages.Event_Signalled, *messages.Event_Recorded:
		return false
	}
	return true
}

func (s *State) illegal(entry *messages.JournalEntry, what, why string) error {
	return fmt.Errorf("%w: order %s, entry %d, %s in status %s: %s", ErrIllegal, entry.GetOrderId(), entry.GetNumber(), what, s.Status, why)
}

// apply folds one event and returns why it is illegal, or "".
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
	return "unknown kind of event"
}

func (s *State) accepted(e *messages.OrderAccepted) string {
	if s.Status != None {
		return "accepted twice"
	}
	if e.GetOrder() == nil || e.GetPlan() == nil {
		return "an order and its plan are missing"
	}
	if e.GetDriver().GetSequence() == 0 || e.GetIncarnation() == "" {
		return "the driver or its incarnation is missing"
	}
	s.Status, s.Uncalled = Running, true
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
	if e.GetSkipped() && !s.Skip {
		return "no skip was recorded"
	}
	s.Results = append(s.Results, Result{Data: e.GetData(), Skipped: e.GetSkipped()})
	s.Closed = s.Closed || s.backward()
	s.clearCall()
	return s.useSignal(e.GetSignal())
}

// useSignal removes the oldest recorded signal of that name, if one is named.
func (s *State) useSignal(name string) string {
	if name == "" {
		return ""
	}
	i := slices.IndexFunc(s.Signals, func(sig *messages.Signalled) bool { return sig.GetName() == name })
	if i < 0 {
		return fmt.Sprintf("no recorded signal %q", name)
	}
	s.Signals = slices.Delete(slices.Clone(s.Signals), i, i+1)
	return ""
}

// expectStep checks that name is the step that can become done, pending or rejected now.
func (s *State) expectStep(name string) string {
	switch step := s.current(); {
	case !s.Status.Driven():
		return "no driver"
	case s.Closed || s.Refusal != nil:
		return "no step can become done any more"
	case step == nil:
		return "every step is done"
	case step.GetName() != name:
		return fmt.Sprintf("step %q, want %q", name, step.GetName())
	}
	return ""
}

// clearCall resets what is known of a call that has its result.
func (s *State) clearCall() {
	s.Attempts, s.Spent, s.Takeovers, s.LastFailure, s.Pending, s.Skip = 0, 0, 0, nil, nil, false
	s.InDoubtSince, s.Performed, s.Uncalled = time.Time{}, false, true
}

// doubt puts the current call in doubt: it may have been made since CallableSince.
func (s *State) doubt() {
	if s.InDoubtSince.IsZero() {
		s.InDoubtSince = s.CallableSince
	}
}

// expectCall checks that the call is the one that can be answered now.
func (s *State) expectCall(step string, d messages.Direction) string {
	if d == messages.Undo {
		return s.expectUndo(step)
	}
	return s.expectStep(step)
}

func (s *State) stepFailed(e *messages.StepFailed) string {
	if why := s.expectCall(e.GetStep(), e.GetDirection()); why != "" {
		return why
	}
	if e.GetAttempt() != uint32(s.Attempts)+1 {
		return fmt.Sprintf("attempt %d, want %d", e.GetAttempt(), s.Attempts+1)
	}
	s.Attempts++
	s.Spent++
	s.Takeovers = 0
	s.LastFailure = e
	if s.Performed = s.Performed || e.GetKind() == messages.Unreadable; s.Performed || e.GetInDoubt() {
		s.doubt()
	}
	return ""
}

func (s *State) stepRejected(e *messages.StepRejected) string {
	if why := s.expectStep(e.GetStep()); why != "" {
		return why
	}
	if e.GetInDoubt() && (!s.maybePerformed() || !tombstone(s.current())) {
		return "the step is not in doubt, or is not undone in doubt"
	}
	s.Refusal, s.Closed, s.Status = e, !e.GetInDoubt(), Compensating
	s.clearCall()
	return ""
}

func (s *State) stepPending(e *messages.StepPending) string {
	if why := s.expectCall(e.GetStep(), e.GetDirection()); why != "" {
		return why
	}
	s.Pending = e
	// A reply ends a run of failed attempts.
	s.Spent, s.Takeovers = 0, 0
	return ""
}

func (s *State) stepUndone(e *messages.StepUndone) string {
	if why := s.expectUndo(e.GetStep()); why != "" {
		return why
	}
	if e.GetSkipped() && !s.Skip {
		return "no skip was recorded"
	}
	i := s.toUndo()
	if i == len(s.Results) {
		s.Results = append(s.Results, Result{})
	}
	s.Results[i].Undone = true
	s.Closed = true
	s.clearCall()
	return s.useSignal(e.GetSignal())
}

// expectUndo checks that name is the step that can be undone now.
func (s *State) expectUndo(name string) string {
	switch i := s.toUndo(); {
	case s.Status != Compensating:
		return "not compensating"
	case s.mustResolve():
		return "the step in doubt is not resolved"
	case s.pastPivot():
		return "the last step is performed and cannot be undone"
	case i < 0:
		return "nothing is left to undo"
	case s.Plan.Steps[i].GetName() != name:
		return fmt.Sprintf("step %q, want %q", name, s.Plan.Steps[i].GetName())
	}
	return ""
}

// record moves the watermark to a message that becomes part of the history.
func (s *State) record(src *messages.Source) string {
	if s.Status == None {
		return "no such order"
	}
	if s.Status.Terminal() {
		return "the order has ended"
	}
	if seq := src.GetSequence(); s.Recorded(seq) {
		return fmt.Sprintf("message %d is recorded already, or precedes one that is", seq)
	}
	s.Watermark = src.GetSequence()
	return ""
}

func (s *State) cancelRequested(e *messages.CancelRequested) string {
	forward := !s.backward()
	if forward {
		// A skip of a step does not apply to its undo.
		s.Skip = false
	}
	if s.Cancel == nil {
		s.Cancel = e
	}
	// The step of a call that nobody can have made is not in doubt (R4c).
	s.Closed = s.Closed || forward && s.Uncalled
	if step := s.inDoubt(); forward && step != nil && tombstone(step) {
		// The next call is another one, the step's undo, and has not been made.
		s.clearCall()
		s.CallableSince = s.ChangedAt
	}
	s.Spent = 0
	if s.Status == Running {
		s.Status = Compensating
	}
	return s.record(e.GetSource())
}

func (s *State) recorded(e *messages.MessageRecorded) string {
	return s.record(e.GetSource())
}

func (s *State) parked(seq uint64, e *messages.OrderParked) string {
	if !s.Status.Driven() {
		return "no driver"
	}
	if e.GetInDoubt() {
		s.doubt()
	}
	s.stopDriving(Parked)
	s.Park, s.ParkedUntil, s.ParkReason = seq, e.GetUntil().AsTime(), e.GetReason()
	return ""
}

func (s *State) attention(e *messages.OrderNeedsAttention) string {
	if !s.Status.Driven() {
		return "no driver"
	}
	s.stopDriving(Attention)
	s.AttentionCause, s.Skip = e, false
	return ""
}

// stopDriving leaves the order without a driver.
func (s *State) stopDriving(status Status) {
	s.Status, s.Driver, s.Owner, s.Takeovers = status, Source{}, "", 0
}

func (s *State) resumed(e *messages.OrderResumed) string {
	if s.Status == None || s.Status.Terminal() {
		return "the order has not started, or has ended"
	}
	driver := sourceFrom(e.GetDriver())
	switch {
	case driver.Sequence == 0 || e.GetIncarnation() == "":
		return "the driver or its incarnation is missing"
	case s.Status == Attention && driver.Sequence != s.Watermark:
		return "only a message recorded with it ends attention"
	case s.Status.Driven() && driver != s.Driver:
		return "another message drives the order"
	case s.Status.Driven() && e.GetIncarnation() == s.Owner:
		return "its driver owns the order already"
	case s.Status.Driven():
		// The driver that is replaced may have made the current call. The supervisor counts restarts.
		if e.GetCause() != causeRestart {
			s.Takeovers++
		}
		s.doubt()
	case s.Status == Attention:
		s.Spent, s.Skip = 0, e.GetCause() == cause(messages.TypeSkip)
		if s.maybePerformed() {
			// A person has decided about the call: its key is used for another lifetime.
			s.InDoubtSince = s.ChangedAt
		}
	}
	s.Driver, s.Owner = driver, e.GetIncarnation()
	s.Park, s.ParkedUntil, s.ParkReason, s.AttentionCause = 0, time.Time{}, "", nil
	s.Status = Running
	if s.backward() {
		s.Status = Compensating
	}
	return ""
}

func (s *State) end(status Status, reason string) string {
	switch {
	case !s.Status.Driven():
		return "no driver"
	case status == Completed && !s.Finished():
		return "steps are left to do"
	case status == Completed && s.backward() && !s.pastPivot():
		return "it is being undone"
	case status != Completed && s.mustResolve():
		return "the step in doubt is not resolved"
	case status != Completed && s.pastPivot():
		return "the last step is performed and cannot be undone"
	case status == Cancelled && s.Cancel == nil:
		return "no cancel was requested"
	case status == Rejected && s.Cancel != nil:
		return "a cancel was requested"
	case status == Rejected && s.Refusal == nil && s.Number > 1:
		return "no step was rejected"
	case status != Completed && s.toUndo() >= 0:
		return "steps are left to undo"
	}
	s.stopDriving(status)
	s.End = reason
	return ""
}
