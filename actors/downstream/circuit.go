package downstream

import (
	"errors"
	"net"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// circuit is the breaker of one downstream. The library keeps the state and the share of failures; what silence means and
// when to try again is decided here. Its gate's lock guards it.
type circuit struct {
	breaker circuitbreaker.CircuitBreaker[any]
	state   circuitbreaker.State
	silence silence
	// epoch counts the changes of state: what was called in an earlier one has no say.
	epoch uint64
	// under counts the calls under way that were let in since then.
	under int
	// since is when the circuit last left the closed state for good, zero when the downstream is well; tries counts the
	// openings from then on; reopen is when the next trial may be made.
	since  time.Time
	tries  int
	reopen time.Time
	// failed is the order whose failure was counted last, cause what that failure said.
	failed messages.OrderID
	cause  error
}

// made is a call as its circuit let it in.
type made struct {
	order messages.OrderID
	epoch uint64
	at    time.Time
}

func newCircuit() *circuit {
	c := &circuit{silence: silence{usual: usualGuess}}
	c.breaker = circuitbreaker.NewBuilder[any]().
		WithFailureRateThreshold(failureShare, minVolume, window).
		// As many successes close it as failures open it again, whichever come first.
		WithSuccessThresholdRatio(trials, 2*trials-1).
		// Its own delay never ends: HalfOpen is called instead.
		WithDelay(1 << 62).
		OnStateChanged(func(e circuitbreaker.StateChangedEvent) {
			c.state, c.under = e.NewState, 0
			c.epoch++
		}).
		Build()
	return c
}

// closed reports whether the downstream is taken for well.
func (c *circuit) closed() bool { return c.state == circuitbreaker.ClosedState }

// mayTry reports whether a trial call may be made: no more than decide.
func (c *circuit) mayTry(now time.Time) bool {
	if c.state == circuitbreaker.OpenState && !now.Before(c.reopen) {
		c.breaker.HalfOpen()
	}
	if c.state != circuitbreaker.HalfOpenState {
		return false
	}
	so := c.breaker.Metrics()
	return c.under+int(max(so.Successes(), so.Failures())) < trials
}

// let lets a call in. Unless the circuit is closed, mayTry must have allowed it.
func (c *circuit) let(order messages.OrderID, now time.Time) made {
	c.under++
	if c.closed() {
		c.silence.ask(now, order != c.failed)
	}
	return made{order: order, epoch: c.epoch, at: now}
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

// record counts how a call ended.
func (c *circuit) record(m made, v verdict, err error, now time.Time, rnd func() float64) change {
	if m.epoch != c.epoch {
		return unchanged
	}
	c.under--
	before := c.state
	trial := before == circuitbreaker.HalfOpenState
	switch v {
	case well:
		c.silence.answer(now.Sub(m.at))
		// Where it completes the minimum volume it may open the circuit, for the failures before it.
		c.breaker.RecordSuccess()
	case unknown:
		// A trial that told nothing is none; the next one may.
		c.silence.withdraw(m.at)
	case ill:
		c.fail(m.order, err, now)
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

// fail counts a failure. Those of one order, without one of another between them, count once: it may be the order that
// the service cannot bear, and then neither may it open the circuit nor its trials keep it from closing. Where nobody
// listens at all that is not the order's fault, and each adds to the silence.
func (c *circuit) fail(order messages.OrderID, err error, now time.Time) {
	again, nobody := order == c.failed, unreachable(err)
	if again && !nobody {
		return
	}
	c.failed, c.cause = order, err
	c.silence.row++
	if !again {
		c.breaker.RecordFailure()
	}
	if c.closed() && c.silence.outage(now, nobody && c.under == 0) {
		c.breaker.Open()
	}
}

// delay is how long the circuit stays open this time: at least what the downstream asked for, within bounds.
func (c *circuit) delay(err error, rnd func() float64) time.Duration {
	d := lastTry
	if c.tries < 8 {
		d = min(firstTry<<c.tries, lastTry)
	}
	c.tries++
	d -= time.Duration(rnd() * float64(d/2))
	return max(d, askedFor(err))
}

// askedFor is how long the downstream asked to be left alone, within bounds.
func askedFor(err error) time.Duration {
	var f *delivery.Failure
	if errors.As(err, &f) {
		return min(f.RetryAfter, maxSpread)
	}
	return 0
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
	var f *delivery.Failure
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
