package downstream

import (
	"math"
	"time"

	"github.com/failsafe-go/failsafe-go/ratelimiter"
)

// ramp is the pace at which calls are let in after an outage. Its gate's lock guards it. The zero value is over.
type ramp struct {
	limiter ratelimiter.RateLimiter[any] // nil: over
	// pace is in calls per second. It began at first, doubles up to sure and grows by the share growth from there.
	pace, first, sure, growth float64
	// ends is the end of the stage; pressed: somebody had to wait in it.
	ends    time.Time
	pressed bool
}

func (r *ramp) on() bool { return r.limiter != nil }

// begin starts the ramp, given the throughput that the downstream was seen to take, and the pace at which it fell over in
// the last ramp; 0: never.
func (r *ramp) begin(now time.Time, known, fell float64) {
	*r = ramp{first: max(known*cautious, minPace), sure: max(known*bold, surePace), growth: gently, ends: now.Add(stage)}
	switch {
	case fell > 0:
		r.sure, r.growth = fell*tooFast, warily
		r.first = max(min(r.first, r.sure), minPace)
	case known == 0:
		r.sure = maxPace
	}
	r.pace = r.first
	r.limiter = newRate(r.pace)
}

// advance moves on to the stage that now belongs to, and reports whether that changed the pace. A pace that nobody felt
// does not grow, and ends unless parked orders are due until horizon.
func (r *ramp) advance(now, horizon time.Time) (changed bool) {
	if !r.on() || now.Before(r.ends) {
		return false
	}
	if !r.pressed {
		if now.After(horizon) {
			*r = ramp{}
			return true
		}
		r.ends = now.Add(stage)
		return false
	}
	if r.pace < r.sure {
		r.pace = min(2*r.pace, r.sure)
	} else {
		r.pace *= 1 + r.growth
		r.growth *= hastening
	}
	if r.pace >= maxPace {
		*r = ramp{}
		return true
	}
	r.limiter, r.pressed, r.ends = newRate(r.pace), false, now.Add(stage)
	return true
}

// reserve takes the next place within wait and tells how far away it is; false when there is none.
func (r *ramp) reserve(wait time.Duration) (time.Duration, bool) {
	d := r.limiter.TryReservePermit(wait)
	r.pressed = r.pressed || d != 0
	return d, d >= 0
}

// at is the pace at a time to come, if it doubles as far as it does.
func (r *ramp) at(t time.Time) float64 {
	stages := 0.
	if !t.Before(r.ends) {
		stages = 1 + math.Floor(t.Sub(r.ends).Seconds()/stage.Seconds())
	}
	return max(min(r.pace*math.Exp2(stages), r.sure), r.pace)
}

// newRate lets through perSecond calls a second, evenly.
func newRate(perSecond float64) ratelimiter.RateLimiter[any] {
	return ratelimiter.NewSmoothWithMaxRate[any](max(time.Duration(float64(time.Second)/perSecond), 1))
}

// meter knows the best throughput of late, in successes per second.
type meter struct {
	count int
	since time.Time
	best  float64
}

// success counts one; fade is how much of the best of late still counts.
func (m *meter) success(now time.Time, fade float64) {
	m.count++
	if m.since.IsZero() {
		m.since = now
		return
	}
	if d := now.Sub(m.since); d >= time.Second {
		m.best = max(float64(m.count)/d.Seconds(), fade*m.best)
		m.count, m.since = 0, now
	}
}

// known is best, or the second under way if that is better.
func (m *meter) known() float64 { return max(m.best, float64(m.count)) }
