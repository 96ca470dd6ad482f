package replay

import (
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
)

// ErrIllegal is wrapped by an error about an entry that no legal history contains, ErrCheckpoint by one about a checkpoint
// that differs from the state of the entries before it.
var (
	ErrIllegal    = errors.New("illegal history")
	ErrCheckpoint = errors.New("the checkpoint differs from the state of the entries before it")
)

// Apply folds the entry stored at journal sequence seq.
func (o *Order) Apply(seq uint64, e *messages.JournalEntry) error {
	f := fold{Order: o, seq: seq}
	what, why := "entry", ""
	switch {
	case e.GetNumber() != o.Number+1:
		why = fmt.Sprintf("want number %d", o.Number+1)
	case seq <= o.Last:
		why = fmt.Sprintf("stored at %d, not after %d", seq, o.Last)
	case e.GetPrevious() != o.Last:
		why = fmt.Sprintf("appended after %d, want after %d", e.GetPrevious(), o.Last)
	case o.Number > 0 && e.GetOrderId() != string(o.ID):
		why = fmt.Sprintf("in the history of order %s", o.ID)
	case len(e.GetEvents()) == 0:
		why = "no events"
	case messages.CheckpointSupported(e.GetCheckpoint()) && !proto.Equal(e.GetCheckpoint(), o.State):
		return fmt.Errorf("order %s, entry %d: %w", e.GetOrderId(), e.GetNumber(), ErrCheckpoint)
	default:
		before := o.Status()
		f.begin(e)
		for i := 0; i < len(e.GetEvents()) && why == ""; i++ {
			what, why = messages.KindOf(e.GetEvents()[i]), f.event(e.GetEvents()[i])
		}
		if why == "" && o.Status() == before && f.endsRest(before) {
			why = fmt.Sprintf("the order stays %s: the entry that records this message resumes it (R3.7)", before)
		}
		if why == "" && f.moves {
			f.State.CallableSince = e.GetTime()
		}
	}
	if why != "" {
		return fmt.Errorf("%w: order %s, entry %d, %s in status %q: %s", ErrIllegal, e.GetOrderId(), e.GetNumber(), what, o.Status(), why)
	}
	return nil
}

// fold is one entry being folded.
type fold struct {
	*Order
	seq uint64
	// recorded is the inbox sequence that this entry records, 0 for none, and recordedType the type of that message.
	recorded     uint64
	recordedType messages.Type
	// awaited: the message is the signal that the parked order waits for.
	awaited bool
	// wait is what a park in this entry waits for.
	wait Wait
	// moves: the entry is more than the recording of a message, so that a driver may make the next call after it.
	moves bool
	// uncalled: the entry began the current call, which nobody can have made before it is stored.
	uncalled bool
}

func (f *fold) begin(e *messages.JournalEntry) {
	f.Last, f.Number, f.Changed, f.wait = f.seq, f.Number+1, e.GetTime(), WaitOutage
	if f.Number == 1 {
		f.ID, f.Began = messages.OrderID(e.GetOrderId()), e.GetTime()
	}
	if e.GetCheckpoint() != nil {
		f.Checked = f.Number
	}
}

// event folds one event and returns why it is illegal, or "".
func (f *fold) event(e *messages.Event) string {
	status, s := f.Status(), f.State
	f.moves = f.moves || !records(e)
	switch k := e.GetKind().(type) {
	case *messages.Event_Accepted:
		return f.accepted(k.Accepted)
	case *messages.Event_CancelRequested, *messages.Event_Signalled, *messages.Event_Recorded, *messages.Event_Resumed:
		if status == None || status.Ended() {
			return "the order is not accepted, or has ended"
		}
	default:
		if !status.Driven() {
			return "no delivery drives the order"
		}
	}
	switch k := e.GetKind().(type) {
	case *messages.Event_CancelRequested:
		return f.cancelRequested(k.CancelRequested)
	case *messages.Event_Signalled:
		f.keep(k.Signalled)
		return f.record(k.Signalled.GetSource(), messages.TypeSignal)
	case *messages.Event_Recorded:
		return f.record(k.Recorded.GetSource(), messages.Type(k.Recorded.GetType()))
	case *messages.Event_Resumed:
		return f.resumed(status, k.Resumed)
	case *messages.Event_StepCompleted:
		return f.stepCompleted(k.StepCompleted)
	case *messages.Event_StepFailed:
		return f.stepFailed(k.StepFailed)
	case *messages.Event_StepRejected:
		return f.stepRejected(k.StepRejected)
	case *messages.Event_StepPending:
		return f.stepPending(k.StepPending)
	case *messages.Event_StepUndone:
		return f.stepUndone(k.StepUndone)
	case *messages.Event_Parked:
		if k.Parked.GetInDoubt() {
			f.doubt()
		}
		f.rest(Parked)
		f.Park, f.Parked, f.Wait = f.seq, k.Parked, f.wait
		s.Park, s.Parked = f.seq, &messages.OrderParked{Reason: k.Parked.GetReason(), Until: k.Parked.GetUntil()}
	case *messages.Event_Attention:
		f.rest(Attention)
		s.Need, s.Skip = k.Attention, false
	case *messages.Event_Completed:
		return f.completed()
	case *messages.Event_Rejected:
		return f.undone(Rejected, k.Rejected.GetReason())
	case *messages.Event_Cancelled:
		return f.undone(Cancelled, k.Cancelled.GetReason())
	default:
		return "an event of an unknown kind"
	}
	return ""
}

// records reports whether the event only records a message, which any delivery may do while another one drives the order.
func records(e *messages.Event) bool {
	return e.GetCancelRequested() != nil || e.GetSignalled() != nil || e.GetRecorded() != nil
}

// doubt notes that the call may have been performed since a driver could make it, unless an earlier time is known.
func (f *fold) doubt() {
	if s := f.State; s.GetInDoubtSince() == nil {
		s.InDoubtSince = s.GetCallableSince()
	}
}

func (f *fold) accepted(e *messages.OrderAccepted) string {
	switch {
	case f.Status() != None:
		return "accepted twice"
	case e.GetOrder() == nil || e.GetPlan() == nil:
		return "the order or its plan is missing"
	case e.GetDriver().GetSequence() == 0 || e.GetIncarnation() == "":
		return "the driver or its incarnation is missing (R0)"
	}
	f.Accepted = e
	f.uncalled = true
	f.State = &messages.Checkpoint{Version: messages.CheckpointVersion, First: f.seq}
	f.drive(e.GetDriver(), e.GetIncarnation())
	return ""
}

// drive makes the delivery the driver and owner.
func (f *fold) drive(driver *messages.Source, incarnation string) {
	s := f.State
	s.Driver, s.Owner, s.Need, s.Status = driver, incarnation, nil, string(Running)
	if f.compensating() {
		s.Status = string(Compensating)
	}
	f.Park, f.Parked, f.Wait = 0, nil, ""
	s.Park, s.Parked = 0, nil
}

// rest leaves the order without a driver.
func (f *fold) rest(status Status) {
	s := f.State
	s.Status, s.Driver, s.Owner, s.Takeovers = string(status), &messages.Source{}, "", 0
}

// record moves the watermark to a message that was not recorded yet (R1).
func (f *fold) record(source *messages.Source, t messages.Type) string {
	seq := source.GetSequence()
	if seq <= f.State.GetWatermark() || seq == f.Accepted.GetDriver().GetSequence() {
		return fmt.Sprintf("message %d is recorded already, or was passed over (R1)", seq)
	}
	f.State.Watermark, f.recorded, f.recordedType = seq, seq, t
	return ""
}

// keep records a signal. One that ends the park at once does not count as kept.
func (f *fold) keep(signal *messages.Signalled) {
	s := f.State
	f.awaited = f.Status() == Parked && s.GetPending() != nil && s.GetPending().GetSignal() == signal.GetName()
	if !f.awaited {
		s.Kept++
		s.KeptBytes += uint32(len(signal.GetName()) + len(signal.GetData()))
	}
	s.Signals = append(s.Signals, signal)
}

// endsRest reports whether this entry records a message that resumes an order in the status. A skip may be for another step.
func (f *fold) endsRest(status Status) bool {
	decides := f.recordedType == messages.TypeCancel || f.recordedType == messages.TypeRetry
	endsPark := f.recordedType != messages.TypeSignal || f.awaited
	return f.recorded != 0 && (status == Parked && endsPark || status == Attention && decides)
}

// cancelRequested turns the order back. The step in doubt keeps its attempts when it is settled by another attempt, and not
// when it is undone at once.
func (f *fold) cancelRequested(e *messages.CancelRequested) string {
	s := f.State
	if !f.compensating() {
		s.Skip = false
		s.Closed = s.Closed || f.uncalled
		if do, _ := f.due(); do >= 0 && undoneInDoubt(f.steps()[do]) {
			f.nextCall()
			s.CallableSince = f.Changed
		}
	}
	if s.Cancel == nil {
		s.Cancel = e
	}
	s.Spent = 0
	if f.Status().Driven() {
		s.Status = string(Compensating)
	}
	return f.record(e.GetSource(), messages.TypeCancel)
}

// resumed: the same message takes over (R3.2, R5.2), a wake-up ends a park (R5.3), or a message ends attention or a park in
// the entry that records it (R3.7).
func (f *fold) resumed(status Status, e *messages.OrderResumed) string {
	s, driver := f.State, e.GetDriver()
	recordedHere := f.recorded != 0 && driver.GetStream() == messages.StreamOrders && driver.GetSequence() == f.recorded
	switch {
	case driver.GetSequence() == 0 || e.GetIncarnation() == "":
		return "the driver or its incarnation is missing (R0)"
	case status.Driven() && !proto.Equal(driver, s.GetDriver()):
		return "another message drives the order (R3.3)"
	case status.Driven() && e.GetIncarnation() == s.GetOwner():
		return "its driver owns the order already (R0)"
	case status == Parked && driver.GetStream() != messages.StreamTimers && !recordedHere:
		return "the message that ends the park is not recorded in the same entry (R3.7)"
	case status == Attention && (!recordedHere || f.recordedType == messages.TypeSignal):
		return "attention ends only by a cancel, retry or skip that is recorded in the same entry (R3.7)"
	}
	switch {
	case status.Driven():
		// What the former driver called is unknown. A restart of the same delivery is no takeover.
		if e.GetCause() != "restart" {
			s.Takeovers++
		}
		f.doubt()
	case status == Attention:
		s.Spent, s.Skip = 0, f.recordedType == messages.TypeSkip
		if s.GetInDoubtSince() != nil {
			s.InDoubtSince = f.Changed
		}
	}
	f.drive(driver, e.GetIncarnation())
	return ""
}

// answers returns why an answer to the step's call in the direction is not due, or "".
func (f *fold) answers(step string, d messages.Direction) string {
	due, undo := f.due()
	if d == messages.Undo {
		due = undo
	}
	switch {
	case due < 0:
		return fmt.Sprintf("no %s is due", d.Label())
	case f.steps()[due].GetName() != step:
		return fmt.Sprintf("step %q: the %s of step %q is due", step, d.Label(), f.steps()[due].GetName())
	}
	return ""
}

// nextCall clears the state of the current call, which has ended.
func (f *fold) nextCall() {
	s := f.State
	s.Attempts, s.Spent, s.Takeovers, s.LastFailure, s.Pending, s.Skip = 0, 0, 0, nil, nil, false
	s.InDoubtSince, s.Performed = nil, false
	f.uncalled = true
}

// use removes the oldest recorded signal of the name, which an answer consumes; the empty name is none.
func (f *fold) use(name string) string {
	if name == "" {
		return ""
	}
	for i, signal := range f.State.GetSignals() {
		if signal.GetName() == name {
			f.State.Signals = slices.Delete(f.State.Signals, i, i+1)
			return ""
		}
	}
	return fmt.Sprintf("no recorded signal %q", name)
}

func (f *fold) stepCompleted(e *messages.StepCompleted) string {
	s := f.State
	if why := f.answers(e.GetStep(), messages.Do); why != "" {
		return why
	}
	if e.GetSkipped() && !s.GetSkip() {
		return "skipped, and no skip was recorded"
	}
	if e.GetSkipped() && s.GetPerformed() {
		return "skipped, though it is performed (R4c)"
	}
	if why := f.use(e.GetSignal()); why != "" {
		return why
	}
	s.Results = append(s.Results, &messages.StepResult{Data: e.GetData(), Skipped: e.GetSkipped()})
	s.Closed = f.compensating()
	f.nextCall()
	return ""
}

func (f *fold) stepFailed(e *messages.StepFailed) string {
	s := f.State
	if why := f.answers(e.GetStep(), e.GetDirection()); why != "" {
		return why
	}
	if do, undo := f.due(); e.GetDirection() != messages.Undo && do == undo {
		return "the step in doubt is undone, not called again (R4c)"
	}
	if e.GetAttempt() != s.GetAttempts()+1 {
		return fmt.Sprintf("attempt %d, want %d", e.GetAttempt(), s.GetAttempts()+1)
	}
	s.Attempts++
	s.Spent++
	s.Takeovers, s.LastFailure, f.wait = 0, e, WaitRetry
	if e.GetKind() == messages.Unreadable {
		s.Performed = true
	}
	if e.GetInDoubt() || s.GetPerformed() {
		f.doubt()
	}
	return ""
}

func (f *fold) stepRejected(e *messages.StepRejected) string {
	if why := f.answers(e.GetStep(), messages.Do); why != "" {
		return why
	}
	s := f.State
	if e.GetInDoubt() && (s.GetInDoubtSince() == nil || !undoneInDoubt(f.steps()[len(s.GetResults())])) {
		return "refused in doubt, and the step is not in doubt, or is not undone in doubt"
	}
	if e.GetInDoubt() && f.compensating() {
		return "refused in doubt, and the step is undone anyway (R4c)"
	}
	s.Refusal, s.Closed, s.Status = e, !e.GetInDoubt(), string(Compensating)
	f.nextCall()
	return ""
}

func (f *fold) stepPending(e *messages.StepPending) string {
	if why := f.answers(e.GetStep(), e.GetDirection()); why != "" {
		return why
	}
	do, _ := f.due()
	if last := do == len(f.steps())-1 && do >= 0 && f.steps()[do].GetUndo() == ""; e.GetDirection() != messages.Undo && f.compensating() && !last {
		return "a step in doubt that is pending counts as done (R4c)"
	}
	s := f.State
	s.Pending, s.Spent, s.Takeovers, f.wait = e, 0, 0, WaitPending
	return ""
}

func (f *fold) stepUndone(e *messages.StepUndone) string {
	s := f.State
	if why := f.answers(e.GetStep(), messages.Undo); why != "" {
		return why
	}
	if e.GetSkipped() && !s.GetSkip() {
		return "skipped, and no skip was recorded"
	}
	if why := f.use(e.GetSignal()); why != "" {
		return why
	}
	_, undo := f.due()
	if undo == len(s.GetResults()) {
		s.Results = append(s.Results, &messages.StepResult{})
	}
	s.Results[undo].Undone, s.Closed = true, true
	f.nextCall()
	return ""
}

func (f *fold) completed() string {
	switch {
	case len(f.State.GetResults()) < len(f.steps()):
		return "steps are left to do"
	case f.compensating() && !f.irreversible():
		return "the order is being compensated"
	}
	f.rest(Completed)
	return ""
}

// undone ends an order that is compensated, or one that was rejected at once because it is invalid.
func (f *fold) undone(status Status, reason string) string {
	do, undo := f.due()
	invalid := status == Rejected && f.Number == 1 && !f.compensating() && len(f.State.GetResults()) == 0
	switch {
	case invalid:
	case !f.compensating():
		return "no cancel was recorded, and no step was rejected"
	case f.irreversible():
		return "the last step is performed and cannot be undone (R4c)"
	case do >= 0 || undo >= 0:
		return "a step is left to settle or to undo (R4c)"
	case (status == Cancelled) != (f.State.GetCancel() != nil):
		return "a recorded cancel, and only that, ends an order as cancelled"
	}
	f.rest(status)
	f.Reason = reason
	return ""
}
