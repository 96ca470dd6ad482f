package order

import (
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/backoff"
)

// Defaults of a step's retry.
const (
	defaultInitial  = 100 * time.Millisecond
	defaultMax      = 30 * time.Second
	defaultAttempts = 10
)

// failure is one failed attempt of a step call.
type failure struct {
	kind messages.FailureKind
	// cause is the text for the journal.
	cause string
	// consecutive counts the failed attempts of the call, this one included, since a person last decided about it.
	consecutive int
	// retryAfter is the shortest delay the service asked for, or 0.
	retryAfter time.Duration
	// inDoubt: the attempt may have been performed.
	inDoubt bool
	// final: a person must decide, whatever attempts are left. question is the cause of that; empty: cause is.
	final    bool
	question string
}

func (f failure) attentionCause() string {
	if f.question != "" {
		return f.question
	}
	return f.cause
}

// retryDelay is how long to wait before the next attempt; again is false when a person must decide. Both directions of a
// step are retried alike.
func (f failure) retryDelay(r *messages.Retry, e Env) (delay time.Duration, again bool) {
	attempts := defaultAttempts
	if n := r.GetAttempts(); n > 0 {
		attempts = int(n)
	}
	if f.final || f.kind == messages.Rejected || f.kind == messages.Poison || f.consecutive >= attempts {
		return 0, false
	}
	b := backoff.Exponential{Initial: r.GetInitial().AsDuration(), Max: r.GetMax().AsDuration()}
	delay = b.WithDefaults(defaultInitial, defaultMax).Delay(f.consecutive, e.Jitter)
	switch f.kind {
	case messages.Transient, messages.Setup, messages.Unreadable:
		return max(delay, f.retryAfter), true
	}
	// A defect in the code around the call does not park the order.
	return min(delay, max(e.Hold, 0)), true
}
