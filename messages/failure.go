package messages

import (
	"errors"
	"fmt"
	"time"
)

// The kinds of failure.
const (
	// Transient: time-outs, 5xx, unavailable. Worth another attempt.
	Transient = FailureKind_FAILURE_KIND_TRANSIENT
	// Rejected: a business no.
	Rejected = FailureKind_FAILURE_KIND_REJECTED
	// Poison: undecodable or invalid; no attempt will ever succeed.
	Poison = FailureKind_FAILURE_KIND_POISON
	// Fenced: somebody else advanced the order.
	Fenced = FailureKind_FAILURE_KIND_FENCED
	// Defect: a panic.
	Defect = FailureKind_FAILURE_KIND_DEFECT
	// Infrastructure: the journal or NATS is away.
	Infrastructure = FailureKind_FAILURE_KIND_INFRASTRUCTURE
)

// Word is the kind in one lower-case word, as it appears in logs, metrics and timelines.
func (k FailureKind) Word() string {
	switch k {
	case Transient:
		return "transient"
	case Rejected:
		return "rejected"
	case Poison:
		return "poison"
	case Fenced:
		return "fenced"
	case Defect:
		return "defect"
	case Infrastructure:
		return "infrastructure"
	}
	return "unknown"
}

// Failure is what an order actor panics with to hand its failure to its supervisor.
type Failure struct {
	Kind FailureKind
	// After is the delay a Transient failure was journaled with: the supervisor restarts the actor after it.
	// The strategy chooses the delay of the other kinds.
	After time.Duration
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

func (f *Failure) Error() string { return fmt.Sprintf("%s failure: %v", f.Kind.Word(), f.Err) }
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
		return &Failure{Kind: Defect, Err: r}
	}
	return &Failure{Kind: Defect, Err: fmt.Errorf("panic: %v", reason)}
}

// GiveUp comes from the supervisor with the deliveries of an order whose restart budget is spent: the next time the
// actor would drive the order it journals attention with the cause instead.
type GiveUp struct {
	Failure *Failure
}
