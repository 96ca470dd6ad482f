package order

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// DefaultPending is how long a step that answered pending without a deadline waits for its signal before it is called again.
const DefaultPending = time.Hour

const (
	// minPending and maxPark bound how long a service may ask an order to wait. The server's schedules end with the year 2262:
	// a later one fires at once, repeatedly.
	minPending = time.Second
	maxPark    = 10 * 365 * 24 * time.Hour
	// A step that is pending is called again after 1/pendingShare of the time it has been pending, at most maxPending, even
	// if its deadline is earlier: a service whose deadlines are always in the past would otherwise be called every second.
	pendingShare = 8
	maxPending   = time.Hour
	// maxError bounds an error's text in the journal, in bytes.
	maxError = 1024
	// maxData bounds the data of a step, in bytes. The server stores no entry that is much larger, and an order
	// whose entry cannot be stored would be driven for ever.
	maxData = messages.MaxBody
)

// CallResult is the result of a call. The driver holds it until it is in the journal.
type CallResult struct {
	Call Call
	// Reply is the service's; nil when the attempt failed with Failure.
	Reply   *messages.StepReply
	Failure *delivery.Failure
	Took    time.Duration
}

// certain reports whether the result determines if the step is performed.
func (r CallResult) certain() bool {
	switch r.Reply.GetResult().(type) {
	case *messages.StepReply_Done, *messages.StepReply_Rejected:
		return r.Failure == nil
	}
	return false
}

// HandleReply decides what to append for the result of a call, given what the journal holds by now, which may be more than
// it held when the call was made (R4: merge). No events: the result is obsolete. A StepFailed alone is attempted again at its
// RetryAt, at most Hold later.
func (s *State) HandleReply(r CallResult, e Env) []*messages.Event {
	if !s.expects(r.Call) {
		return nil
	}
	step := s.Plan.Steps[r.Call.Step]
	undo := r.Call.Direction == messages.Undo
	if s.backward() && !undo && !r.Call.ResolvesDoubt && !r.certain() {
		// The order began to be compensated during the call. A result that leaves the effect in doubt does not count: the
		// call that resolves the doubt, or the undo, is next.
		return nil
	}
	if f := r.Failure; f != nil {
		if f.Deferral != nil {
			return deferred(r.Call, step, f.Deferral)
		}
		return s.failed(r.Call, step, failure{kind: f.Kind, cause: f.Err.Error(), retryAfter: f.RetryAfter}, e)
	}
	switch reply := r.Reply.GetResult().(type) {
	case *messages.StepReply_Done:
		return s.done(r, step, reply.Done.GetData(), e)
	case *messages.StepReply_Rejected:
		code, reason := reply.Rejected.GetCode(), reply.Rejected.GetReason()
		if undo {
			return s.failed(r.Call, step, failure{kind: messages.Rejected, cause: "the undo was refused: " + code + ": " + reason}, e)
		}
		return s.withEnd(stepRejected(&messages.StepRejected{Step: step.GetName(), Code: clip(code), Reason: clip(reason)}))
	case *messages.StepReply_Pending:
		if undo {
			return s.failed(r.Call, step, failure{kind: messages.Transient, cause: "the undo is pending"}, e)
		}
		return s.pending(r, step, reply.Pending, e)
	case *messages.StepReply_Retry:
		return s.failed(r.Call, step, failure{
			kind: messages.Transient, cause: "the service asked for a retry: " + reply.Retry.GetReason(), retryAfter: reply.Retry.GetAfter().AsDuration(),
		}, e)
	}
	return s.failed(r.Call, step, failure{kind: messages.Transient, cause: "an answer without a result"}, e)
}

// expects reports whether the call is still the one the order waits for.
func (s *State) expects(c Call) bool {
	if !s.Status.Driven() {
		return false
	}
	if c.Direction == messages.Undo {
		return s.Status == Compensating && !s.mustResolve() && s.toUndo() == c.Step
	}
	return !s.Closed && c.Step == len(s.Results) && !s.Finished()
}

func (s *State) done(r CallResult, step *messages.Step, data string, e Env) []*messages.Event {
	took := uint64(max(r.Took, 0) / time.Microsecond)
	if r.Call.Direction == messages.Undo {
		return s.withEnd(stepUndone(&messages.StepUndone{Step: step.GetName(), Attempt: r.Call.Attempt, TookUs: took}))
	}
	if size := len(data); size > maxData {
		if !s.backward() {
			cause := fmt.Sprintf("the answer's data has %d bytes: at most %d are kept", size, maxData)
			return s.failed(r.Call, step, failure{kind: messages.Poison, cause: cause}, e)
		}
		// During compensation it only matters that the step is performed.
		data = ""
	}
	done := stepCompleted(&messages.StepCompleted{Step: step.GetName(), Data: data, Attempt: r.Call.Attempt, TookUs: took})
	if s.backward() {
		return s.withEnd(done)
	}
	if len(s.Results)+1 == len(s.Plan.Steps) {
		return []*messages.Event{done, completed()}
	}
	return []*messages.Event{done}
}

// pending parks the order until the service sends its signal, unless the signal is recorded already.
func (s *State) pending(r CallResult, step *messages.Step, p *messages.StepWaiting, e Env) []*messages.Event {
	if last := r.Call.Step == len(s.Plan.Steps)-1 && step.GetUndo() == ""; s.backward() && !last {
		// A pending step may still be performed: it counts as performed and is undone. Where the last step cannot be undone,
		// the end of the order depends on it: the order waits.
		return s.done(r, step, "", e)
	}
	if sig := s.unusedSignal(p.GetSignal()); sig != nil {
		return s.withEnd(s.bySignal(sig))
	}
	deadline := e.Now.Add(DefaultPending)
	if d := p.GetDeadline(); d.IsValid() && d.AsTime().Unix() > 0 {
		deadline = d.AsTime()
	}
	since := e.Now
	if first := s.Pending.GetSince(); first != nil {
		since = first.AsTime()
	}
	pause := min(max(e.Now.Sub(since)/pendingShare, minPending), maxPending)
	if earliest := e.Now.Add(pause); deadline.Before(earliest) {
		deadline = earliest
	}
	if latest := e.Now.Add(maxPark); deadline.After(latest) {
		deadline = latest
	}
	return []*messages.Event{
		stepPending(&messages.StepPending{Step: step.GetName(), Signal: p.GetSignal(), Deadline: timestamppb.New(deadline), Since: timestamppb.New(since)}),
		parked("step "+step.GetName()+" waits for signal "+p.GetSignal(), deadline),
	}
}

// failed journals one failed attempt, with a park or attention unless the next attempt comes within Hold.
func (s *State) failed(c Call, step *messages.Step, f failure, e Env) []*messages.Event {
	if int(c.Attempt) <= s.Attempts {
		// The attempt is in the journal; only the reply of its append was lost.
		return nil
	}
	f.consecutive = s.Spent + 1
	attempt := &messages.StepFailed{Step: step.GetName(), Direction: c.Direction, Attempt: c.Attempt, Kind: f.kind, Error: clip(f.cause)}
	delay, again := f.retryDelay(step.GetRetry(), e)
	if !again {
		return []*messages.Event{stepFailed(attempt), attention(&messages.OrderNeedsAttention{
			Step: step.GetName(), Direction: c.Direction, Kind: f.kind, Cause: clip(f.cause),
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
func deferred(c Call, step *messages.Step, d *delivery.Deferral) []*messages.Event {
	waits := "step " + step.GetName()
	if c.Direction == messages.Undo {
		waits = "undo of " + step.GetName()
	}
	return []*messages.Event{parked(clip(waits+" waits: "+d.Reason), d.Until)}
}

// clip cuts untrusted text to what the journal keeps: at most maxError bytes of valid UTF-8.
func clip(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxError)], "?")
}
