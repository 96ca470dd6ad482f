package supervision

import (
	"time"

	"github.com/orderly-engine/orderly/messages"
)

// What a step's retry is when its plan does not say.
const (
	retryInitial  = 100 * time.Millisecond
	retryMax      = 30 * time.Second
	retryAttempts = 10
)

// NewPolicy returns the policy for failed step calls. Delays are capped exponential with full jitter and at least what
// the downstream asked for; up to hold they are waited for in memory, longer ones park. rnd draws the jitter, uniform
// in [0,1).
//
// Both directions of a step follow the same rules, but for an undo that was rejected: nothing can undo an undo, so
// a person decides.
func NewPolicy(hold time.Duration, rnd func() float64) messages.Policy {
	return func(kind messages.FailureKind, h messages.History) messages.Directive {
		backoff, attempts := retry(h.Retry)
		switch kind {
		case messages.Transient:
			if h.Attempts >= attempts {
				return messages.Directive{Action: messages.ActAttention}
			}
			delay := max(backoff.delay(h.Attempts, rnd), h.After)
			if delay > hold {
				return messages.Directive{Action: messages.ActPark, Delay: delay}
			}
			return messages.Directive{Action: messages.ActRestart, Delay: delay}
		case messages.Rejected:
			if h.Direction == messages.Undo {
				return messages.Directive{Action: messages.ActAttention}
			}
			return messages.Directive{Action: messages.ActCompensate}
		case messages.Poison:
			return messages.Directive{Action: messages.ActAttention}
		case messages.Fenced:
			return messages.Directive{Action: messages.ActDrop}
		case messages.Infrastructure:
			// Nothing can be parked while the journal is away: the wait stays in memory, and within hold.
			backoff.Max = min(backoff.Max, max(hold, 0))
			return messages.Directive{Action: messages.ActRestart, Delay: backoff.delay(h.Attempts, rnd)}
		}
		// A defect, or a kind this version does not know.
		if h.Attempts >= attempts {
			return messages.Directive{Action: messages.ActAttention}
		}
		return messages.Directive{Action: messages.ActRestart, Delay: min(backoff.delay(h.Attempts, rnd), max(hold, 0))}
	}
}

// retry is r with the defaults in place of what it leaves out.
func retry(r *messages.Retry) (Backoff, int) {
	b := Backoff{Initial: r.GetInitial().AsDuration(), Max: r.GetMax().AsDuration()}.withDefaults(retryInitial, retryMax)
	if attempts := r.GetAttempts(); attempts > 0 {
		return b, int(attempts)
	}
	return b, retryAttempts
}
