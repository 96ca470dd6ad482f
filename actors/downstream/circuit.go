package downstream

import (
	"errors"
	"net"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
)

// circuit is the breaker of one downstream. The library counts and keeps the state; when to try again is decided here,
// for that delay grows. Its gate's lock guards it.
type circuit struct {
	breaker circuitbreaker.CircuitBreaker[any]
	state   circuitbreaker.State
	// epoch counts the changes of state: what was called in an earlier one has no say.
	epoch uint64
	// trying counts the trial calls under way.
	trying int
	// since is when the circuit last left the closed state for good, zero when the downstream is well; tries counts the
	// openings from then on; reopen is when the next trial may be made.
	since  time.Time
	tries  int
	reopen time.Time
	// failed is the order whose failure was counted last, "" after a success; cause is what that failure said.
	failed messages.OrderID
	cause  error
}

func newCircuit() *circuit {
	c := &circuit{}
	c.breaker = circuitbreaker.NewBuilder[any]().
		WithFailureThreshold(failuresToOpen).
		WithSuccessThreshold(trials).
		// Its own delay never ends: HalfOpen is called instead.
		WithDelay(1 << 62).
		OnStateChanged(func(e circuitbreaker.StateChangedEvent) {
			c.state, c.trying = e.NewState, 0
			c.epoch++
		}).
		Build()
	return c
}

// closed reports whether the downstream is taken for well.
func (c *circuit) closed() bool { return c.state == circuitbreaker.ClosedState }

// mayTry reports whether a trial call may be made.
func (c *circuit) mayTry(now time.Time) bool {
	if c.state == circuitbreaker.OpenState && !now.Before(c.reopen) {
		c.breaker.HalfOpen()
	}
	return c.state == circuitbreaker.HalfOpenState && c.trying < trials
}

// try begins a trial call. mayTry must have allowed it.
func (c *circuit) try() {
	c.trying++
	c.breaker.TryAcquirePermit()
}

// change is what a call did to its circuit.
type change uint8

const (
	unchanged change = iota
	// opened: the downstream was well and is out.
	opened
	// reopened: it is still out.
	reopened
	// recovered: it is back.
	recovered
)

// record counts how a call of the given epoch ended.
func (c *circuit) record(v verdict, epoch uint64, order messages.OrderID, err error, now time.Time, rnd func() float64) change {
	if epoch != c.epoch {
		return unchanged
	}
	before := c.state
	trial := before == circuitbreaker.HalfOpenState
	if trial {
		c.trying--
	}
	switch {
	case v == well:
		c.failed = ""
		c.breaker.RecordSuccess()
	case v == ill && (trial || order != c.failed || unreachable(err)):
		c.failed, c.cause = order, err
		c.breaker.RecordFailure()
	case v == unknown && trial:
		// The trial told nothing; the next one may. The library gives a permit back with a result only.
		c.breaker.RecordFailure()
	}
	switch {
	case c.state == before:
		return unchanged
	case c.closed():
		return recovered
	}
	after := c.delay(err, rnd)
	c.reopen = now.Add(after)
	if trial || !c.since.IsZero() {
		return reopened
	}
	c.since = now
	return opened
}

// delay is how long the circuit stays open this time: at least what the downstream asked for, within bounds.
func (c *circuit) delay(err error, rnd func() float64) time.Duration {
	d := lastTry
	if c.tries < 8 {
		d = min(firstTry<<c.tries, lastTry)
	}
	c.tries++
	d -= time.Duration(rnd() * float64(d/2))
	var f *messages.Failure
	if errors.As(err, &f) {
		d = max(d, min(f.After, maxSpread))
	}
	return d
}

// heal forgets the outage.
func (c *circuit) heal() { c.since, c.tries = time.Time{}, 0 }

// verdict is what the end of a call says about its downstream.
type verdict uint8

const (
	// well: somebody answered.
	well verdict = iota
	// ill: nobody did, or without sense.
	ill
	// unknown: the call did not get as far.
	unknown
)

func verdictOf(err error) verdict {
	if err == nil {
		return well
	}
	var f *messages.Failure
	if errors.As(err, &f) && (f.Kind == messages.Poison || f.Deferral != nil) || errors.Is(err, gateway.ErrClosed) {
		return unknown
	}
	return ill
}

// unreachable reports whether nobody was there to take the call, which cannot be the order's fault.
func unreachable(err error) bool {
	if errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrDisconnected) {
		return true
	}
	var dial *net.OpError
	return errors.As(err, &dial) && dial.Op == "dial"
}
