package downstream

import (
	"math"
	"time"

	"github.com/failsafe-go/failsafe-go/ratelimiter"
)

// slowStart limits the rate of calls after an outage, as TCP does after a loss: the rate doubles each second up to a
// threshold, grows slowly from there, and ever faster, so that it soon reaches the capacity of the service whatever the
// threshold. The limiter's lock guards it; the zero value is off.
type slowStart struct {
	limiter ratelimiter.RateLimiter[any] // nil: off
	// rate, in calls per second, began at initial, doubles while below doubleUntil and grows by growth from there.
	rate, initial, doubleUntil, growth float64
	// failedRate is the rate that last failed, 0 if none did; usualUntil is doubleUntil without it.
	failedRate, usualUntil float64
	// stepEnds is when the rate may change next: once a second, if a call had to wait.
	stepEnds time.Time
	waited   bool
	// taken counts the permits of this step that were taken.
	taken int
	// successes and failures are the calls that ended in this step; failureShare is the usual share of failures, a moving
	// mean of so many steps measured.
	successes, failures int
	failureShare        float64
	measured            int
}

const (
	// growthFactor is how the growth beyond doubleUntil itself grows per second: it doubles in 20 seconds.
	growthFactor = 1.035
	// initialGrowth is the growth that it begins with, as a share of doubleUntil, minGrowth the least, in calls per second.
	initialGrowth = 1. / 400
	minGrowth     = 1
	// disproved times a rate that failed without a failure says that the rate was not the cause.
	disproved = 1.5
	// overloadShare and overloadFailures: more failures than is usual in a step are an overload if they are that share of its
	// calls and that many at least.
	overloadShare    = 0.05
	overloadFailures = 5
	// overloadCut is the share of the rate that succeeded with which calls go on after an overload.
	overloadCut = 0.9
)

// noThreshold lets the rate double until no call has to wait.
const noThreshold = 1e6

func (s *slowStart) on() bool { return s.limiter != nil }

// begin starts it. throughput is the known throughput of the downstream, 0 if unknown; failedRate is the rate at which
// the previous slow start ended in another outage, 0 if it did not.
func (s *slowStart) begin(now time.Time, throughput, failedRate float64) {
	initial := max(throughput*initialFraction, minRate)
	until := max(2*throughput, 10*minRate)
	if throughput == 0 {
		until = noThreshold
	}
	*s = slowStart{failedRate: failedRate, usualUntil: until}
	if failedRate > 0 {
		until = max(failedRate/2, minRate)
		initial = min(initial, until)
	}
	s.initial = initial
	s.setThreshold(until)
	s.setRate(now, initial)
}

func (s *slowStart) setThreshold(until float64) {
	s.doubleUntil, s.growth = until, max(until*initialGrowth, minGrowth)
}

func (s *slowStart) setRate(now time.Time, rate float64) {
	s.rate, s.limiter, s.waited = rate, newRateLimiter(rate), false
	s.beginStep(now)
}

func (s *slowStart) beginStep(now time.Time) {
	s.stepEnds, s.taken, s.successes, s.failures = now.Add(time.Second), 0, 0, 0
}

// advance changes the rate at the end of a step and reports whether it did: less after an overload, otherwise more.
// Without a call that waited, the rate stays, and slow start ends unless parked orders return before lastReturn.
func (s *slowStart) advance(now, lastReturn time.Time) (changed bool) {
	switch {
	case !s.on() || now.Before(s.stepEnds):
		return false
	case s.waited && s.overloaded():
		s.failedRate = s.rate
		s.setThreshold(max(s.rate/2, overloadCut*float64(s.successes)/(1-s.failureShare), minRate))
		s.setRate(now, s.doubleUntil)
	case s.waited && float64(s.taken) < s.rate/2:
		s.beginStep(now)
		return false
	case s.waited && s.failedRate > 0 && s.rate > disproved*s.failedRate:
		s.failedRate = 0
		s.setThreshold(s.usualUntil)
		s.setRate(now, s.rate+s.growth)
	case s.waited && s.rate < s.doubleUntil:
		s.setRate(now, min(2*s.rate, s.doubleUntil))
	case s.waited:
		s.setRate(now, s.rate+s.growth)
		s.growth *= growthFactor
	case now.After(lastReturn):
		*s = slowStart{}
	default:
		s.beginStep(now)
		return false
	}
	return true
}

// overloaded reports whether so many of the calls that ended in the step failed that neither chance nor a service that
// always fails some explains it. A failure at the initial rate is not caused by the rate.
func (s *slowStart) overloaded() bool {
	ended := float64(s.successes + s.failures)
	if ended == 0 {
		return false
	}
	usual := ended * s.failureShare
	over := s.rate > s.initial && float64(s.failures) > usual+3*math.Sqrt(usual)+max(overloadShare*ended, overloadFailures)
	weight := 1. / 32
	if !over {
		// The first steps have a mean of their own.
		s.measured++
		weight = max(weight, 1/float64(s.measured))
	}
	s.failureShare += weight * (float64(s.failures)/ended - s.failureShare)
	return over
}

// ended counts a call that has ended.
func (s *slowStart) ended(r result) {
	switch r {
	case success:
		s.successes++
	case failure:
		s.failures++
	}
}

// reserve takes the next permit if it is due within maxWait, and returns when; false without one.
func (s *slowStart) reserve(maxWait time.Duration) (time.Duration, bool) {
	wait := s.limiter.TryReservePermit(maxWait)
	s.waited = s.waited || wait != 0
	if wait >= 0 {
		s.taken++
	}
	return wait, wait >= 0
}

// rateAt predicts the rate at a time to come, if a call waits in every step until then.
func (s *slowStart) rateAt(t time.Time) float64 {
	rate := s.rate
	steps := math.Ceil(t.Sub(s.stepEnds).Seconds())
	for ; steps > 0 && rate < s.doubleUntil; steps-- {
		rate = min(2*rate, s.doubleUntil)
	}
	// Beyond maxReturnRate it makes no difference.
	return min(rate+s.growth*(math.Pow(growthFactor, max(steps, 0))-1)/(growthFactor-1), maxReturnRate)
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
