package downstream

import (
	"cmp"
	"errors"
	"net"
	"slices"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/actors/directory"
	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// circuit is the circuit breaker of one downstream. The library keeps the state, the failure rate and the count of trials;
// added here are the no-reply detector, a growing delay between trials, failures that count once per order, and trials
// without a result, for which the library has no call. The limiter's lock guards it.
type circuit struct {
	breaker circuitbreaker.CircuitBreaker[any]
	// state is that of the breaker, epoch counts its changes: a call admitted in an earlier epoch is not counted.
	state circuitbreaker.State
	epoch uint64
	// inFlight counts the calls of this epoch that have not ended.
	inFlight int
	noReply  noReplyDetector
	// outageStart is when the circuit first opened, but no more than window before its latest opening; zero again once slow
	// start has ended.
	outageStart time.Time
	// nextTrial is when an open circuit lets trial calls through.
	nextTrial time.Time
	// lastFailed is the order whose failure was counted last, lastError that failure.
	lastFailed messages.OrderID
	lastError  error
	// openCause is why the circuit last went from closed to open.
	openCause openCause
}

// openCause is the attribute cause of orderly.circuit.opens.
type openCause string

const (
	openNoReply     openCause = "no_reply"
	openFailureRate openCause = "failure_rate"
	openSetup       openCause = "setup" // by either rule, and the last failure is a fault of the set-up
)

// ticket identifies an admitted call to its circuit.
type ticket struct {
	order messages.OrderID
	epoch uint64
	at    time.Time
}

// newCircuit returns a closed circuit. Zero values in s mean the defaults.
func newCircuit(s directory.Circuit) *circuit {
	c := &circuit{}
	c.breaker = circuitbreaker.NewBuilder[any]().
		WithFailureRateThreshold(cmp.Or(s.FailureRate, maxFailureRate), uint(cmp.Or(s.MinCalls, minCalls)), cmp.Or(s.Window, window)).
		WithSuccessThresholdRatio(trialCalls, 2*trialCalls-1).
		// The library's delay cannot grow with the outage: it is never reached, HalfOpen is called instead.
		WithDelay(1 << 62).
		OnStateChanged(func(e circuitbreaker.StateChangedEvent) {
			c.state, c.inFlight = e.NewState, 0
			c.epoch++
		}).
		Build()
	return c
}

func (c *circuit) closed() bool { return c.state == circuitbreaker.ClosedState }

// allowTrial reports whether a trial call may be made: no more at a time than can change the state.
func (c *circuit) allowTrial(now time.Time) bool {
	if c.state == circuitbreaker.OpenState && !now.Before(c.nextTrial) {
		c.breaker.HalfOpen()
	}
	if c.state != circuitbreaker.HalfOpenState {
		return false
	}
	m := c.breaker.Metrics()
	return c.inFlight+int(max(m.Successes(), m.Failures())) < trialCalls
}

// admit registers a call. Unless the circuit is closed, allowTrial must have returned true.
func (c *circuit) admit(order messages.OrderID, now time.Time) ticket {
	c.inFlight++
	if c.closed() {
		c.noReply.called(now, order != c.lastFailed)
	}
	return ticket{order: order, epoch: c.epoch, at: now}
}

// transition is the change of the circuit at the end of a call.
type transition uint8

const (
	unchanged transition = iota
	// opened: from closed to open.
	opened
	// reopened: from half open to open.
	reopened
	// recovered: from half open to closed.
	recovered
)

// record counts the end of a call.
func (c *circuit) record(t ticket, r result, err error, now time.Time, random func() float64) transition {
	if t.epoch != c.epoch {
		return unchanged
	}
	c.inFlight--
	before, why := c.state, openFailureRate
	switch r {
	case success:
		c.noReply.replied(now.Sub(t.at))
		// It may open the circuit: it can be the call that completes minCalls.
		c.breaker.RecordSuccess()
	case failure:
		if c.fail(t.order, err, now) {
			why = openNoReply
		}
	case noResult:
		c.noReply.withdraw(t.at)
	}
	switch {
	case c.state == before:
		return unchanged
	case c.closed():
		return recovered
	}
	switch {
	case c.outageStart.IsZero():
		c.outageStart = now
	case before == circuitbreaker.ClosedState && now.Sub(c.outageStart) > window:
		c.outageStart = now.Add(-window)
	}
	// As long as the outage has lasted, so the delay about doubles from trial to trial; up to half is jitter.
	delay := min(max(now.Sub(c.outageStart), minDelay), window)
	delay -= time.Duration(random() * float64(delay/2))
	c.nextTrial = now.Add(max(delay, retryAfter(err)))
	if before != circuitbreaker.ClosedState {
		return reopened
	}
	if isSetup(c.lastError) {
		why = openSetup
	}
	c.openCause = why
	return opened
}

// fail counts a failure. Consecutive failures of one order count once, because the order may be the cause: it can neither open
// the circuit nor keep it open. Unreachability and faults of the set-up are not caused by the order, so the no-reply detector
// counts each: where they are, the replies to other orders reset it. It reports whether the no-reply detector opened the circuit.
func (c *circuit) fail(order messages.OrderID, err error, now time.Time) (noReply bool) {
	repeated, refused := order == c.lastFailed, unreachable(err) || isSetup(err)
	if repeated && !refused {
		return false
	}
	c.lastFailed, c.lastError = order, err
	c.noReply.failures++
	if !repeated {
		c.breaker.RecordFailure()
	}
	if !c.closed() || !c.noReply.outage(now, refused && c.inFlight == 0) {
		return false
	}
	c.breaker.Open()
	return true
}

// endOutage makes the next opening the start of another outage.
func (c *circuit) endOutage() { c.outageStart = time.Time{} }

// result classifies the end of a call, as evidence about its downstream.
type result uint8

const (
	// success: any reply that only a living service gives, also a rejection and an unreadable one.
	success result = iota
	// failure: timeout, 5xx, 429, unreachable, a fault of the set-up.
	failure
	// noResult: the call did not reach the downstream.
	noResult
)

func resultOf(c *gateway.Call, err error) result {
	if err == nil {
		return success
	}
	var f *delivery.Failure
	if !errors.As(err, &f) {
		return failure
	}
	switch {
	case f.Deferral != nil, f.Kind == messages.Poison, errors.Is(err, gateway.ErrClosed):
		return noResult
	case f.Kind == messages.Unreadable, f.Kind == messages.Rejected, nothingToUndo(c, f):
		return success
	}
	return failure
}

// nothingToUndo reports whether the plan takes the answer to an undo as done.
func nothingToUndo(c *gateway.Call, f *delivery.Failure) bool {
	return c.Direction == messages.Undo && slices.Contains(c.Step.GetNothingToUndo(), f.Code)
}

// retryAfter is the wait that the downstream asked for, at most maxSpread.
func retryAfter(err error) time.Duration {
	var f *delivery.Failure
	if errors.As(err, &f) {
		return min(f.RetryAfter, maxSpread)
	}
	return 0
}

// unreachable reports whether nothing listened to the call.
func unreachable(err error) bool {
	if errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrDisconnected) {
		return true
	}
	var dial *net.OpError
	return errors.As(err, &dial) && dial.Op == "dial"
}
