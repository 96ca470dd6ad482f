package order

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// codeNotSent is the code of a step that is not performed because its call cannot be sent.
const codeNotSent = "not_sent"

// handleFailure decides what to append for a call that ended without a StepReply.
func (s *State) handleFailure(r CallResult, step *messages.Step, e Env) []*messages.Event {
	f, undo := r.Failure, r.Call.Direction == messages.Undo
	failed := failure{kind: f.Kind, cause: f.Err.Error(), retryAfter: f.RetryAfter, inDoubt: f.InDoubt}
	switch {
	case f.Done:
		return s.done(r, step, "", failed.cause)
	case undo && nothingToUndo(step, f.Code):
		return s.nothingLeft(r, step, f.Code)
	case f.Deferral != nil:
		return deferred(r.Call, step, f)
	case f.Kind == messages.Unreadable && !undo && s.backward():
		// It is performed. What it answered does not matter any more.
		return s.done(r, step, "", failed.cause)
	case f.Kind == messages.Unreadable:
		failed.final = s.Performed
		failed.question = "it is performed, and its answer cannot be read: " + failed.cause
	case f.Kind == messages.Rejected && !undo && !s.maybePerformed():
		return s.withEnd(stepRejected(&messages.StepRejected{Step: step.GetName(), Code: clip(f.Code), Reason: clip(failed.cause)}))
	case f.Kind == messages.Rejected && !undo && tombstone(step):
		return s.withEnd(stepRejected(&messages.StepRejected{Step: step.GetName(), Code: clip(f.Code), Reason: clip(failed.cause), InDoubt: true}))
	case f.Kind == messages.Rejected && !undo:
		failed.question = clipTo(failed.cause, maxError/2) + ", after an attempt that may have been performed: check with the service, then " + s.choices()
	case f.Kind == messages.Poison && !f.InDoubt && r.Call.ResolvesDoubt && !s.maybePerformed() && s.Pending == nil:
		// No attempt reached the service, and none ever will.
		return s.withEnd(stepRejected(&messages.StepRejected{Step: step.GetName(), Code: codeNotSent, Reason: clip(failed.cause)}))
	}
	return s.failed(r.Call, step, failed, e)
}

// choices are the messages that end attention.
func (s *State) choices() string {
	if s.backward() {
		return "retry or skip"
	}
	return "retry, skip or cancel"
}

// nothingToUndo reports whether the code of a refused undo, or its status, means that nothing is left to undo.
func nothingToUndo(step *messages.Step, code string) bool {
	return code != "" && slices.Contains(step.GetNothingToUndo(), code)
}

func (s *State) nothingLeft(r CallResult, step *messages.Step, code string) []*messages.Event {
	return s.withEnd(stepUndone(&messages.StepUndone{
		Step: step.GetName(), Attempt: r.Call.Attempt, TookUs: uint64(max(r.Took, 0) / time.Microsecond), Code: clip(code),
	}))
}

// keepDoubt journals that an obsolete result leaves the call in doubt, so that the call that resolves the doubt knows it.
func (s *State) keepDoubt(r CallResult, step *messages.Step, e Env) []*messages.Event {
	f := r.Failure
	if f == nil || !f.InDoubt || s.maybePerformed() || !s.mustResolve() || s.attempted(r.Call) {
		return nil
	}
	return []*messages.Event{stepFailed(&messages.StepFailed{
		Step: step.GetName(), Direction: r.Call.Direction, Attempt: r.Call.Attempt, Kind: f.Kind, Error: clip(f.Err.Error()),
		RetryAt: timestamppb.New(e.Now), InDoubt: true,
	})}
}

// attempted reports whether the failed attempt is in the journal already: only the reply of its append was lost.
func (s *State) attempted(c Call) bool { return int(c.Attempt) <= s.Attempts }

// failed journals one failed attempt, with a park or attention unless the next attempt comes within Hold.
func (s *State) failed(c Call, step *messages.Step, f failure, e Env) []*messages.Event {
	if s.attempted(c) {
		return nil
	}
	f.consecutive = s.Spent + 1
	attempt := &messages.StepFailed{
		Step: step.GetName(), Direction: c.Direction, Attempt: c.Attempt, Kind: f.kind, Error: clip(f.cause), InDoubt: f.inDoubt,
	}
	delay, again := f.retryDelay(step.GetRetry(), e)
	if !again {
		return []*messages.Event{stepFailed(attempt), attention(&messages.OrderNeedsAttention{
			Step: step.GetName(), Direction: c.Direction, Kind: f.kind, Cause: clip(f.attentionCause()),
		})}
	}
	retryAt := e.Now.Add(min(delay, maxPark))
	attempt.RetryAt = timestamppb.New(retryAt)
	if delay > e.Hold {
		return []*messages.Event{stepFailed(attempt), parked("step "+step.GetName()+" is attempted again", retryAt)}
	}
	return []*messages.Event{stepFailed(attempt)}
}

// deferred parks the order until its service may accept the call. It does not count as an attempt, because the cause does
// not depend on the order.
func deferred(c Call, step *messages.Step, f *delivery.Failure) []*messages.Event {
	park := parked(clip(callName(c, step)+" waits: "+f.Deferral.Reason), f.Deferral.Until)
	park.GetParked().InDoubt = f.InDoubt
	return []*messages.Event{park}
}

func callName(c Call, step *messages.Step) string {
	if c.Direction == messages.Undo {
		return "undo of " + step.GetName()
	}
	return "step " + step.GetName()
}

// Forgotten returns the entry to append instead of the call if its service, which remembers a key for that lifetime, may have
// forgotten the key: the call could be performed twice. nil: the call may be made.
func (s *State) Forgotten(c Call, service string, lifetime time.Duration, now time.Time) []*messages.Event {
	if !s.maybePerformed() || now.Sub(s.InDoubtSince) <= lifetime {
		return nil
	}
	return []*messages.Event{attention(&messages.OrderNeedsAttention{
		Step: s.Plan.Steps[c.Step].GetName(), Direction: c.Direction, Kind: messages.Transient,
		Cause: clip(fmt.Sprintf("the key may be forgotten: it may have been performed longer ago than %s remembers a key, %s: check with %[1]s, then retry or skip",
			service, lifetime)),
	})}
}
