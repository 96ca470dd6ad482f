package supervision

import (
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
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
func NewPolicy(hold time.Duration, rnd func() float64) delivery.Policy {
	return func(kind messages.FailureKind, h delivery.History) delivery.Directive {
		backoff, attempts := retry(h.Retry)
		switch kind {
		case messages.Transient:
			if h.Attempts >= attempts {
				return delivery.Directive{Action: delivery.ActAttention}
			}
			delay := max(backoff.delay(h.Attempts, rnd), h.After)
			if delay > hold {
				return delivery.Directive{Action: delivery.ActPark, Delay: delay}
			}
			return delivery.Directive{Action: delivery.ActRestart, Delay: delay}
		case messages.Rejected:
			if h.Direction == messages.Undo {
				return delivery.Directive{Action: delivery.ActAttention}
			}
			return delivery.Directive{Action: delivery.ActCompensate}
		case messages.Poison:
			return delivery.Directive{Action: delivery.ActAttention}
		case messages.Fenced:
			return delivery.Directive{Action: delivery.ActDrop}
		case messages.Infrastructure:
			// Nothing can be parked while the journal is away: the wait stays in memory, and within hold.
			backoff.Max = min(backoff.Max, max(hold, 0))
			return delivery.Directive{Action: delivery.ActRestart, Delay: backoff.delay(h.Attempts, rnd)}
		}
		// A defect, or a kind this version does not know.
		if h.Attempts >= attempts {
			return delivery.Directive{Action: delivery.ActAttention}
		}
		return delivery.Directive{Action: delivery.ActRestart, Delay: min(backoff.delay(h.Attempts, rnd), max(hold, 0))}
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
