package downstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/ratelimiter"
	"go.opentelemetry.io/otel/metric"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// gate stands before one downstream. Its lock is never held while a call is made or answered.
type gate struct {
	name   string
	guard  *Guard
	limits *messages.Limits
	labels metric.MeasurementOption

	mu      sync.Mutex
	circuit *circuit
	ramp    ramp
	meter   meter
	slots   bulkhead.Bulkhead[any]       // nil: no limit
	rate    ratelimiter.RateLimiter[any] // nil: no limit
	// wakes is the last place given to a parked order, room that given for want of room, horizon when the last of those
	// parked by an outage is due.
	wakes, room, horizon time.Time
	// fell is the pace at which a return ended in another outage, 0 once one has come to its end.
	fell float64

	// queue is what waits for a permit, the oldest first.
	queue []*visit
	// pumping: somebody is about to look at the queue once more.
	pumping bool
	// timer looks at the queue at alarm, if that is not zero.
	timer  *time.Timer
	alarm  time.Time
	closed bool
}

// visit is one call at its gate.
type visit struct {
	gate *gate
	call *gateway.Call
	done gateway.Done
	// made is what the circuit knows it by, once it was let in.
	made made
	// rated and paced are when the limit and the ramp let it in, expires when it has waited long enough.
	rated, paced, expires time.Time
}

func newGate(g *Guard, name string, limits *messages.Limits) *gate {
	at := &gate{name: name, guard: g, limits: limits, labels: labels(name), circuit: newCircuit()}
	if n := limits.GetConcurrency(); n > 0 {
		at.slots = bulkhead.New[any](uint(n))
	}
	if r := limits.GetRate(); r > 0 {
		at.rate = newRate(r)
	}
	return at
}

func (g *gate) do(c *gateway.Call, done gateway.Done) {
	v := &visit{gate: g, call: c, done: done}
	now := time.Now()
	g.mu.Lock()
	start, err := g.admit(v, now)
	g.mu.Unlock()
	switch {
	case err != nil:
		done(nil, err)
	case start:
		g.guard.steps.Do(c, v.answered)
	}
}

// admit decides about a call: it starts now, waits in the queue, or fails with err.
func (g *gate) admit(v *visit, now time.Time) (start bool, err error) {
	switch {
	case g.closed:
		return false, g.isClosed()
	case !g.circuit.closed():
		return g.admitTrial(v, now)
	}
	v.rated, v.paced, v.expires = now, now, now.Add(g.guard.cfg.Hold)
	if g.ramp.on() {
		g.pace(now)
	}
	if g.ramp.on() {
		wait, ok := g.ramp.reserve(min(rampWait, g.guard.cfg.Hold))
		if !ok {
			return false, g.recovering(now)
		}
		v.paced = now.Add(wait)
	}
	if g.rate != nil {
		wait := g.rate.TryReservePermit(g.guard.cfg.Hold)
		if wait < 0 {
			return false, g.busy(now, fmt.Sprintf("%v calls per second", g.limits.GetRate()), g.limits.GetRate())
		}
		v.rated = now.Add(wait)
	}
	if len(g.queue) == 0 && v.due(now) && g.takeSlot() {
		g.let(v, now)
		return true, nil
	}
	g.queue = append(g.queue, v)
	if len(g.queue) == 1 {
		g.wait(now)
	}
	return false, nil
}

// admitTrial lets a call find out whether the downstream is back, if it is time and there is room.
func (g *gate) admitTrial(v *visit, now time.Time) (start bool, err error) {
	if !g.circuit.mayTry(now) || g.rate != nil && !g.rate.TryAcquirePermit() || !g.takeSlot() {
		return false, g.out(now, g.circuit.cause, 0)
	}
	g.let(v, now)
	return true, nil
}

// let lets a call in.
func (g *gate) let(v *visit, now time.Time) {
	v.made = g.circuit.let(messages.OrderID(v.call.Request.GetOrderId()), now)
}

func (v *visit) due(now time.Time) bool { return !now.Before(v.rated) && !now.Before(v.paced) }

func (g *gate) takeSlot() bool { return g.slots == nil || g.slots.TryAcquirePermit() }

// answered takes the end of a call that was let in.
func (v *visit) answered(reply *messages.StepReply, err error) {
	g, now := v.gate, time.Now()
	g.mu.Lock()
	if g.slots != nil {
		g.slots.ReleasePermit()
	}
	change := g.judge(v, &err, now)
	since, cause := g.circuit.since, g.circuit.cause
	waiting := len(g.queue) > 0
	g.mu.Unlock()
	v.done(reply, err)
	if change != unchanged {
		g.tell(change, cause, now.Sub(since))
	}
	if waiting {
		g.pump()
	}
}

// judge tells the circuit how a call ended, and makes a Deferral of a failure that is the downstream's and not the
// order's.
func (g *gate) judge(v *visit, err *error, now time.Time) change {
	verdict, wasClosed := verdictOf(*err), g.circuit.closed()
	changed := g.circuit.record(v.made, verdict, *err, now, g.guard.cfg.Rand)
	if wasClosed && !g.circuit.closed() {
		g.collapse()
	}
	switch {
	case changed == recovered:
		g.ramp.begin(now, g.known(), g.fell)
	case verdict == well && wasClosed:
		fade := fading
		if g.ramp.on() {
			// What is held back is no measure.
			fade = 1
		}
		g.meter.success(now, fade)
	case verdict == ill && !wasClosed:
		*err = g.out(now, *err, askedFor(*err))
	}
	return changed
}

// collapse takes note that the circuit opened.
func (g *gate) collapse() {
	if g.rate != nil {
		// What waits is put off and gives its places back.
		g.rate = newRate(g.limits.GetRate())
	}
	if g.ramp.on() && g.ramp.pace > g.ramp.first {
		// At its beginning it would not have been the pace.
		g.fell = g.ramp.pace
	}
}

// known is the throughput that the downstream is known to take, within its rate limit.
func (g *gate) known() float64 {
	known := g.meter.known()
	if r := g.limits.GetRate(); r > 0 {
		known = min(known, r)
	}
	return known
}

// pace keeps the ramp's stage up to date, and what waits for it in step.
func (g *gate) pace(now time.Time) {
	if !g.ramp.advance(now, g.horizon) {
		return
	}
	for _, v := range g.queue {
		v.paced = now
		if g.ramp.on() {
			v.paced = now.Add(g.ramp.limiter.ReservePermit())
		}
	}
	if !g.ramp.on() {
		g.circuit.heal()
		g.fell = 0
	}
}

// pump starts what may start and puts off what has waited long enough. One at a time does, and looks again when others
// came by meanwhile: a call that is answered while it is being made would otherwise start the next one below itself.
func (g *gate) pump() {
	g.mu.Lock()
	if g.pumping {
		g.mu.Unlock()
		return
	}
	g.pumping = true
	for {
		v, err := g.next(time.Now())
		if v == nil {
			break
		}
		g.mu.Unlock()
		if err != nil {
			v.done(nil, err)
		} else {
			g.guard.steps.Do(v.call, v.answered)
		}
		g.mu.Lock()
	}
	g.pumping = false
	g.mu.Unlock()
}

// next takes a call off the queue, to be made or, with err, to be failed; nil when none is ready.
func (g *gate) next(now time.Time) (*visit, error) {
	if len(g.queue) == 0 {
		g.queue = nil
		return nil, nil
	}
	if g.ramp.on() && g.circuit.closed() {
		g.pace(now)
	}
	v := g.queue[0]
	switch {
	case g.closed:
		return g.take(), g.isClosed()
	case v.call.Dropped():
		return g.take(), &delivery.Failure{Kind: messages.Transient, Err: errDropped}
	case !g.circuit.closed():
		return g.take(), g.out(now, g.circuit.cause, 0)
	case v.due(now) && g.takeSlot():
		g.let(v, now)
		return g.take(), nil
	case !now.Before(v.expires):
		return g.take(), g.busy(now, fmt.Sprintf("%d calls under way", g.limits.GetConcurrency()), max(g.known(), minPace))
	}
	g.wait(now)
	return nil, nil
}

func (g *gate) take() *visit {
	v := g.queue[0]
	g.queue[0] = nil
	g.queue = g.queue[1:]
	return v
}

// wait sees to it that the queue is looked at when its first call is due, or has waited long enough.
func (g *gate) wait(now time.Time) {
	v := g.queue[0]
	at := v.expires
	if !v.due(now) {
		at = v.rated
		if v.paced.After(at) {
			at = v.paced
		}
	}
	if g.closed || !g.alarm.IsZero() && !g.alarm.After(at) {
		return
	}
	if g.timer != nil && g.timer.Stop() {
		g.guard.work.Done()
	}
	g.alarm = at
	g.guard.work.Add(1)
	g.timer = time.AfterFunc(at.Sub(now), func() {
		defer g.guard.work.Done()
		g.mu.Lock()
		if g.alarm.Equal(at) {
			g.alarm = time.Time{}
		}
		g.mu.Unlock()
		g.pump()
	})
}

// errDropped ends a call that nobody waits for.
var errDropped = errors.New("call dropped before its turn came")

func (g *gate) isClosed() error {
	return &delivery.Failure{Kind: messages.Transient, Err: fmt.Errorf("call %s: %w", g.name, gateway.ErrClosed)}
}

func (g *gate) close() {
	g.mu.Lock()
	g.closed = true
	if g.timer != nil && g.timer.Stop() {
		g.guard.work.Done()
	}
	g.mu.Unlock()
	g.pump()
}

// tell logs and counts a change of the circuit.
func (g *gate) tell(c change, cause error, after time.Duration) {
	log := g.guard.cfg.Logger.With("downstream", g.name)
	switch c {
	case opened:
		g.guard.instr.opened.Add(context.Background(), 1, g.labels)
		log.Warn("downstream is out, its orders park", "error", words(cause))
	case recovered:
		log.Info("downstream is back", "after", after)
	}
}
