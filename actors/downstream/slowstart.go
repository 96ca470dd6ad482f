package downstream

import (
	"math"
	"time"

	"github.com/failsafe-go/failsafe-go/ratelimiter"
)

// slowStart limits the rate of calls after an outage, as TCP does after a loss: the rate doubles each second up to a
// threshold and grows slowly from there. The limiter's lock guards it; the zero value is off.
type slowStart struct {
	limiter ratelimiter.RateLimiter[any] // nil: off
	// rate, in calls per second, began at initial, doubles while below doubleUntil and grows by growth from there.
	rate, initial, doubleUntil, growth float64
	// stepEnds is when the rate may grow next: once a second, if a call had to wait.
	stepEnds time.Time
	waited   bool
}

// growthFactor is how the growth beyond doubleUntil itself grows per second: it doubles in 35 seconds, so that the rate
// reaches the capacity of the service in any case.
const growthFactor = 1.02

// noThreshold lets the rate double until no call has to wait.
const noThreshold = 1e6

func (s *slowStart) on() bool { return s.limiter != nil }

// begin starts it. throughput is the known throughput of the downstream, 0 if unknown; failedRate is the rate at which
// the previous slow start ended in another outage, 0 if it did not.
func (s *slowStart) begin(now time.Time, throughput, failedRate float64) {
	initial := max(throughput*initialFraction, minRate)
	until := max(2*throughput, 10*minRate)
	switch {
	case failedRate > 0:
		until = max(failedRate/2, minRate)
		initial = min(initial, until)
	case throughput == 0:
		until = noThreshold
	}
	*s = slowStart{initial: initial, doubleUntil: until, growth: max(until/400, 1)}
	s.setRate(now, initial)
}

func (s *slowStart) setRate(now time.Time, rate float64) {
	s.rate, s.limiter, s.waited, s.stepEnds = rate, newRateLimiter(rate), false, now.Add(time.Second)
}

// advance raises the rate at the end of a step and reports whether it changed. Without a call that waited, the rate stays,
// and slow start ends unless parked orders return before lastReturn.
func (s *slowStart) advance(now, lastReturn time.Time) (changed bool) {
	switch {
	case !s.on() || now.Before(s.stepEnds):
		return false
	case s.waited && s.rate < s.doubleUntil:
		s.setRate(now, min(2*s.rate, s.doubleUntil))
	case s.waited:
		s.setRate(now, s.rate+s.growth)
		s.growth *= growthFactor
	case now.After(lastReturn):
		*s = slowStart{}
	default:
		s.stepEnds = now.Add(time.Second)
		return false
	}
	return true
}

// reserve takes the next permit if it is due within maxWait, and returns when; false without one.
func (s *slowStart) reserve(maxWait time.Duration) (time.Duration, bool) {
	wait := s.limiter.TryReservePermit(maxWait)
	s.waited = s.waited || wait != 0
	return wait, wait >= 0
}

// rateAt predicts the rate at a time to come, if a call waits in every step until then.
func (s *slowStart) rateAt(t time.Time) float64 {
	rate := s.rate
	steps := math.Ceil(t.Sub(s.stepEnds).Seconds())
	for ; steps > 0 && rate < s.doubleUntil; steps-- {
		rate = min(2*rate, s.doubleUntil)
	}
	return rate + s.growth*(math.Pow(growthFactor, max(steps, 0))-1)/(growthFactor-1)
}

// newRateLimiter spreads perSecond calls evenly over each second.
func newRateLimiter(perSecond float64) ratelimiter.RateLimiter[any] {
	return ratelimiter.NewSmoothWithMaxRate[any](max(time.Duration(float64(time.Second)/perSecond), 1))
}

// throughput measures successes per second; the best recent second counts, by a fifth less with each second that passes.
type throughput struct {
	count int
	since time.Time
	best  float64
}

// success counts one. While the rate is limited, earlier measurements do not decay.
func (m *throughput) success(now time.Time, limited bool) {
	m.count++
	if m.since.IsZero() {
		m.since = now
		return
	}
	d := now.Sub(m.since)
	if d < time.Second {
		return
	}
	if !limited {
		m.best *= 0.8
	}
	m.best = max(m.best, float64(m.count)/d.Seconds())
	m.count, m.since = 0, now
}

// known is the best throughput, the current second included; 0: unknown.
func (m *throughput) known() float64 { return max(m.best, float64(m.count)) }
