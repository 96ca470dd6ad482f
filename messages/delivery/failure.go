package delivery

import (
	"errors"
	"fmt"
	"time"

	"github.com/orderly-engine/orderly/messages"
)

// Failure is what an order actor panics with to hand its failure to its supervisor.
type Failure struct {
	Kind messages.FailureKind
	// After is the delay a Transient failure was journaled with: the supervisor restarts the actor after it.
	// The strategy chooses the delay of the other kinds.
	RetryAfter time.Duration
	// Deferral is set when a step call says nothing about its order: it was not made, or it met a downstream that is known
	// to be out. It is no attempt, and the order parks.
	Deferral *Deferral
	Err      error
}

// Deferral puts a step call off.
type Deferral struct {
	// Reason names the downstream and what is the matter with it, for a person.
	Reason string
	// Until is when the call is worth another try.
	Until time.Time
}

func (f *Failure) Error() string { return fmt.Sprintf("%s failure: %v", f.Kind.Label(), f.Err) }
func (f *Failure) Unwrap() error { return f.Err }

// AsFailure types what an actor panicked with: a *Failure as it is, anything else as a Defect.
func AsFailure(reason any) *Failure {
	switch r := reason.(type) {
	case *Failure:
		return r
	case error:
		var f *Failure
		if errors.As(r, &f) {
			return f
		}
		return &Failure{Kind: messages.Defect, Err: r}
	}
	return &Failure{Kind: messages.Defect, Err: fmt.Errorf("panic: %v", reason)}
}

// GiveUp comes from the supervisor with the deliveries of an order whose restart budget is spent: the next time the
// actor would drive the order it journals attention with the cause instead.
type GiveUp struct {
	Failure *Failure
}
