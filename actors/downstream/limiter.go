package downstream

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/ratelimiter"
	"go.opentelemetry.io/otel/metric"

	"github.com/orderly-engine/orderly/actors/directory"
	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// maxSlowStartWait is the longest wait in memory for a permit of slow start.
const maxSlowStartWait = time.Second

// serviceLimiter admits the calls to one downstream. Its lock is never held while a call is made or its Done is called.
//
// Waiting calls are in a queue, because the library's waiting methods block a goroutine per call and do not keep the order.
type serviceLimiter struct {
	name   string
	guard  *Guard
	limits *messages.Limits
	labels metric.MeasurementOption

	mu         sync.Mutex
	circuit    *circuit
	slowStart  slowStart
	throughput throughput
	bulkhead   bulkhead.Bulkhead[any]       // nil: no limit
	rate       ratelimiter.RateLimiter[any] // nil: no limit
	// lastReturn is the place of the latest order parked by an outage in the sequence of returns, lastSlowReturn that of the
	// latest one parked by slow start in the sequence of its permits, lastBusyReturn likewise for a limit; parkedUntil is when
	// the last of the first two kinds returns.
	lastReturn, lastSlowReturn, lastBusyReturn, parkedUntil time.Time
	// failedRate is the rate at which slow start last ended in another outage; 0 once one has ended with a recovery.
	failedRate float64
	setup      setupFaults

	// queue holds the calls that wait for a permit, oldest first.
	queue []*admission
	// draining: a goroutine is in drain and will check the queue again.
	draining bool
	// timer drains the queue at nextWake, if that is not zero.
	timer    *time.Timer
	nextWake time.Time
	closed   bool
}

// admission is one call that its limiter has not finished.
type admission struct {
	limiter *serviceLimiter
	call    *gateway.Call
	done    gateway.Done
	ticket  ticket // set once the circuit has admitted the call
	// rateTime and slowStartTime are when the rate limit and slow start permit the call, expires is the end of its wait.
	rateTime, slowStartTime, expires time.Time
}

func newServiceLimiter(g *Guard, e *directory.Entry, limits *messages.Limits) *serviceLimiter {
	l := &serviceLimiter{name: e.Name, guard: g, limits: limits, labels: labels(e.Name), circuit: newCircuit(e.Circuit)}
	if n := limits.GetConcurrency(); n > 0 {
		l.bulkhead = bulkhead.New[any](uint(n))
	}
	if r := limits.GetRate(); r > 0 {
		l.rate = newRateLimiter(r)
	}
	return l
}

func (l *serviceLimiter) do(c *gateway.Call, done gateway.Done) {
	a := &admission{limiter: l, call: c, done: done}
	l.mu.Lock()
	start, err := l.admit(a, time.Now())
	l.mu.Unlock()
	switch {
	case err != nil:
		done(nil, err)
	case start:
		l.guard.steps.Do(c, a.ended)
	}
}

// admit starts a call, queues it, or fails it with err.
func (l *serviceLimiter) admit(a *admission, now time.Time) (start bool, err error) {
	switch {
	case l.closed:
		return false, l.closedError()
	case !l.circuit.closed():
		return l.admitTrial(a, now)
	}
	a.rateTime, a.slowStartTime, a.expires = now, now, now.Add(l.guard.cfg.Hold)
	l.advanceSlowStart(now)
	if l.slowStart.on() {
		wait, ok := l.slowStart.reserve(min(maxSlowStartWait, l.guard.cfg.Hold))
		if !ok {
			return false, l.deferSlowStart(now)
		}
		a.slowStartTime = now.Add(wait)
	}
	if l.rate != nil {
		wait := l.rate.TryReservePermit(l.guard.cfg.Hold)
		if wait < 0 {
			return false, l.deferBusy(now, fmt.Sprintf("%v calls per second", l.limits.GetRate()), l.limits.GetRate())
		}
		a.rateTime = now.Add(wait)
	}
	if len(l.queue) == 0 && a.due(now) && l.acquire() {
		l.register(a, now)
		return true, nil
	}
	l.queue = append(l.queue, a)
	if len(l.queue) == 1 {
		l.wakeForHead(now)
	}
	return false, nil
}

// admitTrial makes a call a trial, if one is due and the limits have a permit.
func (l *serviceLimiter) admitTrial(a *admission, now time.Time) (start bool, err error) {
	if !l.circuit.allowTrial(now) || l.rate != nil && !l.rate.TryAcquirePermit() || !l.acquire() {
		return false, l.deferOutage(now, l.circuit.lastError, 0)
	}
	a.call.Trial = true
	l.register(a, now)
	return true, nil
}

func (l *serviceLimiter) register(a *admission, now time.Time) {
	a.ticket = l.circuit.admit(a.order(), now)
}

func (a *admission) order() messages.OrderID { return messages.OrderID(a.call.Request.GetOrderId()) }

// startTime is when the rates permit the call.
func (a *admission) startTime() time.Time {
	if a.slowStartTime.After(a.rateTime) {
		return a.slowStartTime
	}
	return a.rateTime
}

func (a *admission) due(now time.Time) bool { return !now.Before(a.startTime()) }

func (l *serviceLimiter) acquire() bool { return l.bulkhead == nil || l.bulkhead.TryAcquirePermit() }

// ended handles the end of a call that was made.
func (a *admission) ended(reply *messages.StepReply, err error) {
	l, now := a.limiter, time.Now()
	l.mu.Lock()
	if l.bulkhead != nil {
		l.bulkhead.ReleasePermit()
	}
	change, err := l.record(a, err, now)
	lasted, why, cause := now.Sub(l.circuit.outageStart), l.circuit.openCause, l.circuit.lastError
	waiting := len(l.queue) > 0
	l.mu.Unlock()
	a.done(reply, err)
	l.report(change, why, cause, lasted)
	if waiting {
		l.drain()
	}
}

// record counts the end of a call. A failure while the circuit is not closed, and a fault of the set-up that other orders meet
// too, becomes a deferral: it is attributed to the downstream and not to the order.
func (l *serviceLimiter) record(a *admission, err error, now time.Time) (transition, error) {
	r, wasClosed := resultOf(a.call, err), l.circuit.closed()
	l.slowStart.ended(r)
	change := l.circuit.record(a.ticket, r, err, now, l.guard.cfg.Rand)
	switch {
	case change == recovered:
		l.slowStart.begin(now, l.knownThroughput(), l.failedRate)
	case wasClosed && !l.circuit.closed():
		l.circuitOpened()
	}
	switch {
	case r == success:
		l.setup.replied(a.order())
		if wasClosed {
			l.throughput.success(now, l.slowStart.on())
		}
	case r == failure && (!wasClosed || isSetup(err) && !l.setup.failed(a.order())):
		err = l.deferFailed(now, err)
	}
	return change, err
}

func (l *serviceLimiter) circuitOpened() {
	l.setup.opened()
	if l.rate != nil {
		// The queue is about to be failed: its reservations end here.
		l.rate = newRateLimiter(l.limits.GetRate())
	}
	if l.slowStart.on() && l.slowStart.rate > l.slowStart.initial {
		// A failure at the initial rate is not caused by the rate.
		l.failedRate = l.slowStart.rate
	}
}

// knownThroughput is the measured throughput of the downstream, at most its rate limit.
func (l *serviceLimiter) knownThroughput() float64 {
	known := l.throughput.known()
	if r := l.limits.GetRate(); r > 0 {
		known = min(known, r)
	}
	return known
}

// advanceSlowStart raises the rate when that is due; the queued calls then reserve permits again.
func (l *serviceLimiter) advanceSlowStart(now time.Time) {
	if !l.slowStart.advance(now, l.parkedUntil) {
		return
	}
	for _, a := range l.queue {
		a.slowStartTime = now
		if l.slowStart.on() {
			a.slowStartTime = now.Add(l.slowStart.limiter.ReservePermit())
		}
	}
	if !l.slowStart.on() {
		l.circuit.endOutage()
		l.failedRate = 0
	}
}

// drain starts the queued calls that are due and fails those that waited too long. One goroutine at a time does: a call
// that ends while it is made would otherwise start the next one deeper on the same stack.
func (l *serviceLimiter) drain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.draining {
		return
	}
	l.draining = true
	for {
		a, err := l.next(time.Now())
		if a == nil {
			break
		}
		l.mu.Unlock()
		if err != nil {
			a.done(nil, err)
		} else {
			l.guard.steps.Do(a.call, a.ended)
		}
		l.mu.Lock()
	}
	l.draining = false
}

// next removes a call from the queue, to be made or, with err, to be failed; nil if none is ready.
func (l *serviceLimiter) next(now time.Time) (*admission, error) {
	if len(l.queue) == 0 {
		l.queue = nil
		return nil, nil
	}
	if l.circuit.closed() {
		l.advanceSlowStart(now)
	}
	a := l.queue[0]
	switch {
	case l.closed:
		return l.pop(), l.closedError()
	case a.call.Dropped():
		return l.pop(), &delivery.Failure{Kind: messages.Transient, Err: errDropped}
	case !l.circuit.closed():
		return l.pop(), l.deferOutage(now, l.circuit.lastError, 0)
	case a.due(now) && l.acquire():
		l.register(a, now)
		return l.pop(), nil
	case !now.Before(a.expires):
		return l.pop(), l.deferBusy(now, fmt.Sprintf("%d calls in flight", l.limits.GetConcurrency()), max(l.knownThroughput(), minRate))
	}
	l.wakeForHead(now)
	return nil, nil
}

func (l *serviceLimiter) pop() *admission {
	a := l.queue[0]
	l.queue[0] = nil
	l.queue = l.queue[1:]
	return a
}

// wakeForHead sets the timer for the first call of the queue: when it is due, or else when its wait ends.
func (l *serviceLimiter) wakeForHead(now time.Time) {
	a := l.queue[0]
	at := a.expires
	if !a.due(now) {
		at = a.startTime()
	}
	if l.closed || !l.nextWake.IsZero() && !l.nextWake.After(at) {
		return
	}
	l.stopTimer()
	l.nextWake = at
	l.guard.timers.Add(1)
	l.timer = time.AfterFunc(at.Sub(now), func() {
		defer l.guard.timers.Done()
		l.mu.Lock()
		if l.nextWake.Equal(at) {
			l.nextWake = time.Time{}
		}
		l.mu.Unlock()
		l.drain()
	})
}

func (l *serviceLimiter) stopTimer() {
	if l.timer != nil && l.timer.Stop() {
		l.guard.timers.Done()
	}
}

var errDropped = errors.New("call dropped before it was made")

func (l *serviceLimiter) closedError() error {
	return &delivery.Failure{Kind: messages.Transient, Err: fmt.Errorf("call %s: %w", l.name, gateway.ErrClosed)}
}

func (l *serviceLimiter) close() {
	l.mu.Lock()
	l.closed = true
	l.stopTimer()
	l.mu.Unlock()
	l.drain()
}

// report logs and counts the beginning and the end of an outage.
func (l *serviceLimiter) report(t transition, why openCause, cause error, lasted time.Duration) {
	log := l.guard.cfg.Logger.With("downstream", l.name)
	switch t {
	case opened:
		l.guard.instr.opened(l, why)
		log.Warn("circuit opened, orders park", "cause", string(why), "error", openText(cause))
	case recovered:
		log.Info("circuit closed, slow start begins", "outage_seconds", lasted.Seconds())
	}
}
