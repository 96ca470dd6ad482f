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
)

// CallResult is the result of a call. The driver holds it until it is in the journal.
type CallResult struct {
	Call Call
	// Reply is the service's; nil when the attempt failed with Failure.
	Reply   *messages.StepReply
	Failure *delivery.Failure
	Took    time.Duration
}

// HandleReply decides what to append for the result of a call, given what the journal holds by now, which may be more than
// it held when the call was made (R4: merge). No events: the result is obsolete. A StepFailed alone is attempted again at its
// RetryAt, at most Hold later.
func (s *State) HandleReply(r CallResult, e Env) []*messages.Event {
	if !s.expects(r.Call) {
		return nil
	}
	step := s.Plan.Steps[r.Call.Step]
	if s.obsolete(r) {
		return s.keepDoubt(r, step, e)
	}
	if r.Failure != nil {
		return s.handleFailure(r, step, e)
	}
	switch reply := r.Reply.GetResult().(type) {
	case *messages.StepReply_Done:
		return s.done(r, step, reply.Done.GetData(), "")
	case *messages.StepReply_Rejected:
		return s.rejected(r, step, reply.Rejected, e)
	case *messages.StepReply_Pending:
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
	return !s.Closed && s.Refusal == nil && c.Step == len(s.Results) && !s.Finished()
}

// obsolete reports whether the order began to be compensated during the call, and the result does not say if the step is
// performed: the call that resolves the doubt, or the undo, is next.
func (s *State) obsolete(r CallResult) bool {
	if !s.backward() || r.Call.Direction == messages.Undo || r.Call.ResolvesDoubt {
		return false
	}
	if f := r.Failure; f != nil {
		// A step that is undone in doubt is undone, whether its status says no or not.
		return f.Kind != messages.Unreadable && (f.Kind != messages.Rejected || !s.mustResolve())
	}
	switch r.Reply.GetResult().(type) {
	case *messages.StepReply_Done, *messages.StepReply_Rejected:
		return false
	case *messages.StepReply_Pending:
		return !s.mustResolve()
	}
	return true
}

// done journals that the call is performed. dropped says why data of the answer are missing, if they are.
func (s *State) done(r CallResult, step *messages.Step, data, dropped string) []*messages.Event {
	took := uint64(max(r.Took, 0) / time.Microsecond)
	if r.Call.Direction == messages.Undo {
		return s.withEnd(stepUndone(&messages.StepUndone{Step: step.GetName(), Attempt: r.Call.Attempt, TookUs: took}))
	}
	if dropped == "" {
		data, dropped = s.keep(data)
	}
	done := stepCompleted(&messages.StepCompleted{
		Step: step.GetName(), Data: data, Attempt: r.Call.Attempt, TookUs: took, Dropped: clip(dropped),
	})
	if s.backward() {
		return s.withEnd(done)
	}
	if len(s.Results)+1 == len(s.Plan.Steps) {
		return []*messages.Event{done, completed()}
	}
	return []*messages.Event{done}
}

// keep returns the data that fit into the order's journal, or why they are dropped. The server stores no entry that is much
// larger than messages.MaxBody, and an order whose entry cannot be stored would be driven for ever. The results of all steps
// are in the calls of later ones.
func (s *State) keep(data string) (kept, dropped string) {
	total := len(data)
	for _, r := range s.Results {
		total += len(r.Data)
	}
	switch {
	case len(data) > messages.MaxBody:
		return "", fmt.Sprintf("the data have %d bytes: at most %d are kept", len(data), messages.MaxBody)
	case total > messages.MaxResults && data != "":
		return "", fmt.Sprintf("with these %d bytes the order's results would have %d: at most %d are kept", len(data), total, messages.MaxResults)
	}
	return data, ""
}

// rejected journals that the service refused the call: it does not perform the step, or does not undo it.
func (s *State) rejected(r CallResult, step *messages.Step, reply *messages.StepRefused, e Env) []*messages.Event {
	code, reason := reply.GetCode(), reply.GetReason()
	if r.Call.Direction != messages.Undo {
		return s.withEnd(stepRejected(&messages.StepRejected{Step: step.GetName(), Code: clip(code), Reason: clip(reason)}))
	}
	if nothingToUndo(step, code) {
		return s.nothingLeft(r, step, code)
	}
	return s.failed(r.Call, step, failure{kind: messages.Rejected, cause: "the undo was refused: " + code + ": " + reason}, e)
}

// pending parks the order until the service sends its signal, unless the signal is recorded already.
func (s *State) pending(r CallResult, step *messages.Step, p *messages.StepWaiting, e Env) []*messages.Event {
	undo := r.Call.Direction == messages.Undo
	if last := r.Call.Step == len(s.Plan.Steps)-1 && step.GetUndo() == ""; s.backward() && !undo && !last {
		// A pending step may still be performed: it counts as performed and is undone. Where the last step cannot be undone,
		// the end of the order depends on it: the order waits.
		return s.done(r, step, "", "")
	}
	if sig := s.unusedSignal(p.GetSignal()); sig != nil {
		if undo {
			return s.withEnd(s.undoneBySignal(r.Call.Step, sig))
		}
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
		stepPending(&messages.StepPending{
			Step: step.GetName(), Direction: r.Call.Direction, Signal: p.GetSignal(), Deadline: timestamppb.New(deadline), Since: timestamppb.New(since),
		}),
		parked(callName(r.Call, step)+" waits for signal "+p.GetSignal(), deadline),
	}
}

// clip cuts untrusted text to what the journal keeps: at most maxError bytes of valid UTF-8.
func clip(s string) string { return clipTo(s, maxError) }

func clipTo(s string, most int) string {
	return strings.ToValidUTF8(s[:min(len(s), most)], "?")
}
