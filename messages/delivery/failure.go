package delivery

import (
	"errors"
	"fmt"
	"time"

	"github.com/orderly-engine/orderly/messages"
)

// Failure is the error of a failed step call, and what an order actor panics with to fail before its supervisor.
type Failure struct {
	Kind messages.FailureKind
	// RetryAfter is the shortest delay before the next attempt that the service asked for, or 0.
	RetryAfter time.Duration
	// Deferral is set when a step call was not made, or met a service that is known to be out. It does not count as an
	// attempt: the order parks.
	Deferral *Deferral
	// InDoubt: the step may have been performed by the attempt.
	InDoubt bool
	// Done: an Unreadable answer says that the step is done, but its data are too large to keep. The call is not repeated.
	Done bool
	// Code is the status or error code of an answer that says by it alone that the step failed. An explicit rejection is a
	// reply, not a failure.
	Code string
	Err  error
}

// Deferral puts a step call off.
type Deferral struct {
	// Reason names the service and its state, as text for operators.
	Reason string
	// Until is when the call may succeed, by the server's clock.
	Until time.Time
}

func (f *Failure) Error() string { return fmt.Sprintf("%s failure: %v", f.Kind.Label(), f.Err) }
func (f *Failure) Unwrap() error { return f.Err }

// AsFailure types what an actor panicked with: a *Failure as it is, anything else as a Defect.
func AsFailure(reason any) *Failure {
	err, ok := reason.(error)
	if !ok {
		err = fmt.Errorf("panic: %v", reason)
	}
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	return &Failure{Kind: messages.Defect, Err: err}
}

// GiveUp comes from the supervisor with the deliveries of an order that exceeded its restart budget: instead of its next
// move the driver journals attention with the cause.
type GiveUp struct {
	Failure *Failure
}
