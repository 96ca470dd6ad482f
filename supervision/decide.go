package supervision

import (
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/backoff"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// verb is what a supervisor does about a failed order actor.
type verb uint8

const (
	// restart: a new actor after the delay, with all pending deliveries.
	restart verb = iota + 1
	// giveUp: like restart, but the actor is told to end the order in attention.
	giveUp
	// rest: the pending deliveries come back after the delay; no actor until then.
	rest
	// bury: the delivery that failed is a dead letter; the others go on.
	bury
	// letGo: another holder is ahead; every pending delivery is dropped.
	letGo
)

// record is what a supervisor remembers of an order's failures.
type record struct {
	// failures in a row, this one included, that the strategy spaces.
	failures int
	// overdrawn: the order's budget does not cover this defect.
	overdrawn bool
	// gaveUp: the actor that failed had been told to give up.
	gaveUp bool
}

// decide answers a failure. It is pure but for the jitter it draws.
func decide(f *delivery.Failure, r record, b backoff.Exponential, restFor time.Duration, rnd func() float64) (verb, time.Duration) {
	switch f.Kind {
	case messages.Transient:
		return restart, max(f.RetryAfter, 0)
	case messages.Infrastructure:
		return restart, b.Delay(r.failures, rnd())
	case messages.Poison:
		return bury, 0
	case messages.Fenced:
		return letGo, 0
	}
	// A defect. So is a rejection: the order is to compensate, not to fail; and a kind this version does not know.
	switch {
	case r.gaveUp:
		return rest, restFor
	case r.overdrawn:
		return giveUp, b.Delay(r.failures, rnd())
	}
	return restart, b.Delay(r.failures, rnd())
}

// defect reports whether decide treats the kind as a defect.
func defect(k messages.FailureKind) bool {
	switch k {
	case messages.Transient, messages.Infrastructure, messages.Poison, messages.Fenced:
		return false
	}
	return true
}
