package engine

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// Reject returns the error of a business refusal, such as a declined card: the steps before are undone, and the order ends
// as rejected, with code and reason. If an undo returns it, the order needs attention.
func Reject(code, reason string) error { return &rejection{code, reason} }

type rejection struct{ code, reason string }

func (r *rejection) Error() string { return fmt.Sprintf("rejected: %s: %s", r.code, r.reason) }

// Permanent returns an error for which retries are useless, such as a bug or bad configuration. Nothing is undone: the
// order needs attention at once, where a person retries, skips or cancels.
func Permanent(err error) error { return &failure{messages.Poison, err} }

// failure is an error with a failure kind for the gateway.
type failure struct {
	kind messages.FailureKind
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// As lets errors.As find a delivery.Failure without wrapping one, because the text of the error would then contain its kind.
func (f *failure) As(target any) bool {
	to, ok := target.(**delivery.Failure)
	if ok {
		*to = &delivery.Failure{Kind: f.kind, Err: f.err}
	}
	return ok
}

// RetryAfter returns an error after which the step is attempted again, no sooner than the delay. It counts as an attempt.
func RetryAfter(delay time.Duration, err error) error { return &retry{delay, err} }

type retry struct {
	delay time.Duration
	err   error
}

func (r *retry) Error() string { return r.err.Error() }
func (r *retry) Unwrap() error { return r.err }

// Pending returns the error of a step that a signal of that name completes later; the signal's data become its result.
// The order is parked and holds no memory. Without the signal the step is called again at the deadline, or after an hour if
// the deadline is zero. An undo may be pending too: the signal says that the step is undone.
func Pending(signal string, deadline time.Time) error { return &pending{signal, deadline} }

type pending struct {
	signal   string
	deadline time.Time
}

func (p *pending) Error() string { return fmt.Sprintf("pending: waits for signal %q", p.signal) }

// replyOf converts a function's return values to a reply or an error. The gateway handles other errors as failures.
func replyOf(result any, err error) (*messages.StepReply, error) {
	if err == nil {
		return done(result)
	}
	var (
		refused *rejection
		later   *retry
		waiting *pending
	)
	switch {
	case errors.As(err, &refused):
		return &messages.StepReply{Result: &messages.StepReply_Rejected{
			Rejected: &messages.StepRefused{Code: refused.code, Reason: refused.reason},
		}}, nil
	case errors.As(err, &waiting):
		w := &messages.StepWaiting{Signal: waiting.signal}
		if !waiting.deadline.IsZero() {
			w.Deadline = timestamppb.New(waiting.deadline)
		}
		return &messages.StepReply{Result: &messages.StepReply_Pending{Pending: w}}, nil
	case errors.As(err, &later):
		return &messages.StepReply{Result: &messages.StepReply_Retry{
			Retry: &messages.StepAgain{After: durationpb.New(later.delay), Reason: err.Error()},
		}}, nil
	}
	return nil, err
}

// done is the reply with a result. A result that JSON cannot hold is a defect of the function.
func done(result any) (*messages.StepReply, error) {
	data, err := messages.NewJSON(result)
	if err != nil {
		return nil, &failure{messages.Defect, fmt.Errorf("result of the step: %w", err)}
	}
	return &messages.StepReply{Result: &messages.StepReply_Done{Done: &messages.StepDone{Data: data}}}, nil
}
