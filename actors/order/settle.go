package order

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// DefaultPending is how long a step that answered pending without a deadline waits for its signal before it is
// called again.
const DefaultPending = time.Hour

const (
	// minPending and maxPark bound what a downstream may ask an order to wait. A schedule of the server ends with the year
	// 2262: one beyond it fires at once, too early for ever.
	minPending = time.Second
	maxPark    = 10 * 365 * 24 * time.Hour
	// A step that has been pending for a time is not called again sooner than a pendingShare-th part of it later, or
	// maxPending: a service whose deadlines are always over, or near, would be asked for ever at the pace of minPending.
	pendingShare = 8
	maxPending   = time.Hour
	// maxError bounds an error's text in the journal, in bytes.
	maxError = 1024
	// maxData bounds the data of a step, encoded, in bytes. No server would take a much larger entry, and an entry
	// that can never be stored would keep its order from coming to rest.
	maxData = messages.MaxBody
)

// Answer is a fact the driver holds: what came of a call.
type Answer struct {
	Call Call
	// Reply is the downstream's answer; nil when the attempt failed with Failure.
	Reply   *messages.StepReply
	Failure *delivery.Failure
	Took    time.Duration
}

// certain reports whether the answer tells for good if the step is performed.
func (a Answer) certain() bool {
	switch a.Reply.GetResult().(type) {
	case *messages.StepReply_Done, *messages.StepReply_Rejected:
		return a.Failure == nil
	}
	return false
}

// Then says what the driver does once the events are in the journal.
type Then uint8

// What follows an append.
const (
	// Go: decide again.
	Go Then = iota
	// Restart: fail with a transient failure, so that the supervisor restarts the actor after the delay.
	Restart
)

// Settlement is what an answer amounts to. Without events the answer is obsolete.
type Settlement struct {
	Events []*messages.Event
	Then   Then
	Delay  time.Duration
}

// Settle decides what the answer amounts to, given what the journal tells by now, which may be more than it told when
// the call was made (R4: merge). The policy decides about failures.
func (s *State) Settle(a Answer, policy delivery.Policy, now time.Time) Settlement {
	if !s.concerns(a.Call) {
		return Settlement{}
	}
	step := s.Plan.Steps[a.Call.Step]
	if s.backward() && a.Call.Direction == messages.Do && !a.Call.Settling && !a.certain() {
		// The order turned back while the call was under way. An answer that leaves the effect in doubt counts no
		// more: the step is settled, or undone, next.
		return Settlement{}
	}
	if a.Failure != nil && a.Failure.Deferral != nil {
		return deferred(a, step, a.Failure.Deferral)
	}
	if a.Failure != nil {
		return s.failed(a, step, a.Failure.Kind, a.Failure.Err.Error(), a.Failure.After, policy, now)
	}
	switch r := a.Reply.GetResult().(type) {
	case *messages.StepReply_Rejected:
		if a.Call.Direction == messages.Undo {
			return s.failed(a, step, messages.Rejected, "the undo was refused: "+r.Rejected.GetCode()+": "+r.Rejected.GetReason(), 0, policy, now)
		}
		return Settlement{Events: s.closing(stepRejected(&messages.StepRejected{
			Step: step.GetName(), Code: clip(r.Rejected.GetCode()), Reason: clip(r.Rejected.GetReason()),
		}))}
	case *messages.StepReply_Pending:
		return s.pending(a, step, r.Pending, policy, now)
	case *messages.StepReply_Retry:
		return s.failed(a, step, messages.Transient, "asked to come back later: "+r.Retry.GetReason(), r.Retry.GetAfter().AsDuration(), policy, now)
	case *messages.StepReply_Done:
		return s.done(a, step, r.Done, policy, now)
	}
	return s.failed(a, step, messages.Transient, "an answer without a result", 0, policy, now)
}

// concerns reports whether the call is still the one the order waits for.
func (s *State) concerns(c Call) bool {
	if !s.Status.Driven() {
		return false
	}
	if c.Direction == messages.Undo {
		return s.Status == Compensating && !s.unsettled() && s.toUndo() == c.Step
	}
	return !s.Closed && c.Step == len(s.Results) && !s.Finished()
}

func (s *State) done(a Answer, step *messages.Step, done *messages.StepDone, policy delivery.Policy, now time.Time) Settlement {
	took := uint64(max(a.Took, 0) / time.Microsecond)
	if a.Call.Direction == messages.Undo {
		return Settlement{Events: s.closing(stepUndone(&messages.StepUndone{Step: step.GetName(), Attempt: a.Call.Attempt, TookUs: took}))}
	}
	data := done.GetData()
	if size := proto.Size(data); size > maxData {
		if !s.backward() {
			why := fmt.Sprintf("the answer's data has %d bytes: at most %d are kept", size, maxData)
			return s.failed(a, step, messages.Poison, why, 0, policy, now)
		}
		// All that counts on the way back is that the step is performed.
		data = nil
	}
	e := stepCompleted(&messages.StepCompleted{Step: step.GetName(), Data: data, Attempt: a.Call.Attempt, TookUs: took})
	if s.backward() {
		return Settlement{Events: s.closing(e)}
	}
	if len(s.Results)+1 == len(s.Plan.Steps) {
		return Settlement{Events: []*messages.Event{e, completed()}}
	}
	return Settlement{Events: []*messages.Event{e}}
}

// pending: the downstream will answer by a signal, unless the signal is here already.
func (s *State) pending(a Answer, step *messages.Step, p *messages.StepWaiting, policy delivery.Policy, now time.Time) Settlement {
	if a.Call.Direction == messages.Undo {
		return s.failed(a, step, messages.Transient, "the undo is pending", 0, policy, now)
	}
	if last := a.Call.Step == len(s.Plan.Steps)-1 && step.GetUndo() == ""; s.backward() && !last {
		// What is pending may yet happen: it counts as performed and is undone. Where the last step cannot be undone,
		// whether the order completes depends on it, and it is waited for.
		return s.done(a, step, nil, policy, now)
	}
	deadline := now.Add(DefaultPending)
	if d := p.GetDeadline(); d.IsValid() && d.AsTime().Unix() > 0 {
		deadline = d.AsTime()
	}
	since := now
	if first := s.Pending.GetSince(); first != nil {
		since = first.AsTime()
	}
	pause := min(max(now.Sub(since)/pendingShare, minPending), maxPending)
	if earliest := now.Add(pause); deadline.Before(earliest) {
		deadline = earliest
	}
	if latest := now.Add(maxPark); deadline.After(latest) {
		deadline = latest
	}
	waiting := &messages.StepPending{Step: step.GetName(), Signal: p.GetSignal(), Deadline: timestamppb.New(deadline), Since: timestamppb.New(since)}
	if sig := s.unused(p.GetSignal()); sig != nil {
		return Settlement{Events: s.closing(s.bySignal(sig))}
	}
	return Settlement{Events: []*messages.Event{
		stepPending(waiting),
		parked(&messages.OrderParked{Reason: "step " + step.GetName() + " waits for signal " + p.GetSignal(), Until: timestamppb.New(deadline)}),
	}}
}

// failed journals one failed attempt and what the policy makes of it.
func (s *State) failed(a Answer, step *messages.Step, kind messages.FailureKind, why string, after time.Duration, policy delivery.Policy, now time.Time) Settlement {
	if int(a.Call.Attempt) <= s.Attempts {
		// The attempt is in the journal; only the reply of its append was lost.
		return Settlement{}
	}
	failed := &messages.StepFailed{
		Step: step.GetName(), Direction: a.Call.Direction, Attempt: a.Call.Attempt, Kind: kind, Error: clip(why),
	}
	directive := delivery.Directive{Action: delivery.ActAttention}
	if kind != messages.Rejected {
		directive = policy(kind, delivery.History{
			Attempts: s.Spent + 1, Retry: step.GetRetry(), After: after, Direction: a.Call.Direction,
		})
	}
	switch directive.Action {
	case delivery.ActRestart:
		failed.RetryAt = timestamppb.New(now.Add(directive.Delay))
		return Settlement{Events: []*messages.Event{stepFailed(failed)}, Then: Restart, Delay: directive.Delay}
	case delivery.ActPark:
		until := timestamppb.New(now.Add(min(directive.Delay, maxPark)))
		failed.RetryAt = until
		return Settlement{Events: []*messages.Event{
			stepFailed(failed),
			parked(&messages.OrderParked{Reason: "step " + step.GetName() + " is attempted again", Until: until}),
		}}
	}
	return Settlement{Events: []*messages.Event{stepFailed(failed), attention(&messages.OrderNeedsAttention{
		Step: step.GetName(), Direction: a.Call.Direction, Kind: kind, Cause: clip(why),
	})}}
}

// deferred parks the order until its downstream may have room for the call. Nothing is counted: what keeps the call away
// is not the order's.
func deferred(a Answer, step *messages.Step, d *delivery.Deferral) Settlement {
	waits := "step " + step.GetName()
	if a.Call.Direction == messages.Undo {
		waits = "undo of " + step.GetName()
	}
	return Settlement{Events: []*messages.Event{
		parked(&messages.OrderParked{Reason: clip(waits + " waits: " + d.Reason), Until: timestamppb.New(d.Until)}),
	}}
}

// clip makes of a foreign text what the journal can keep: at most maxError bytes of valid UTF-8.
func clip(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxError)], "?")
}
