package downstream_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"github.com/orderly-engine/orderly/actors/downstream"
	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// libraryBreaker is a guard that consists of a circuit breaker of failsafe-go alone.
type libraryBreaker struct {
	steps   downstream.Steps
	breaker circuitbreaker.CircuitBreaker[any]
}

func (l libraryBreaker) Do(c *gateway.Call, done gateway.Done) {
	if !l.breaker.TryAcquirePermit() {
		done(nil, &delivery.Failure{Kind: messages.Transient, Err: circuitbreaker.ErrOpen, Deferral: &delivery.Deferral{}})
		return
	}
	l.steps.Do(c, func(reply *messages.StepReply, err error) {
		if err != nil {
			l.breaker.RecordFailure()
		} else {
			l.breaker.RecordSuccess()
		}
		done(reply, err)
	})
}

// breakerTrace is the behavior of a service and the rate of calls. judge describes a wrong result.
type breakerTrace struct {
	name  string
	play  func(s *flakyService, guard downstream.Steps, r *results)
	judge func(r *results) string
}

func staysClosed(r *results) string {
	if n := r.count(deferred); n > 0 {
		return fmt.Sprintf("opened though the service is up: %d calls were not made", n)
	}
	return ""
}

func spendsAtMost(attempts int) func(*results) string {
	return func(r *results) string {
		if n := r.count(failed); n > attempts {
			return fmt.Sprintf("%d calls failed before it opened, want at most %d", n, attempts)
		}
		return ""
	}
}

// thenGone is a service that replies for a while and then fails every call at once.
func thenGone(perSecond int) func(*flakyService, downstream.Steps, *results) {
	return func(s *flakyService, guard downstream.Steps, r *results) {
		s.replyTime = fixed(5 * time.Millisecond)
		callAtRate(guard, r, "before", perSecond, 20*time.Second)
		time.Sleep(10 * time.Millisecond)
		s.setRefuse(alwaysFails(errTimeout))
		callAtRate(guard, r, "o", perSecond, 20*time.Second)
	}
}

var breakerTraces = []breakerTrace{
	{"gone under load", thenGone(1000), spendsAtMost(150)},
	{"gone with little traffic", thenGone(1), spendsAtMost(10)},
	{"30 % fail at random", func(s *flakyService, guard downstream.Steps, r *results) {
		random := newRand()
		s.setRefuse(func(string) error {
			if random() < 0.3 {
				return errTimeout
			}
			return nil
		})
		callAtRate(guard, r, "o", 1000, time.Minute)
	}, staysClosed},
	{"sheds part of a burst", func(s *flakyService, guard downstream.Steps, r *results) {
		s.replyTime = fixed(100 * time.Millisecond)
		callAtRate(guard, r, "before", 50, 5*time.Second)
		time.Sleep(10 * time.Second)
		var n int
		s.setRefuse(func(string) error {
			if n++; n > 60 {
				return errTimeout
			}
			return nil
		})
		callAtRate(guard, r, "burst", 100_000, time.Millisecond)
		time.Sleep(time.Second)
		callAtRate(guard, r, "after", 1, 5*time.Second)
	}, staysClosed},
}

// The no-reply detector is necessary: no breaker of the library alone is right on every trace. Should one be some day,
// this test fails and the detector can go.
func TestLibraryBreakerAlone(t *testing.T) {
	play := func(t *testing.T, trace breakerTrace, guardOf func(downstream.Steps) downstream.Steps) (wrong string) {
		synctest.Test(t, func(t *testing.T) {
			s := &flakyService{refuses: neverFails, replyTime: fixed(0), refusalTime: fixed(0)}
			guard := guardOf(s)
			var r results
			trace.play(s, guard, &r)
			time.Sleep(time.Second)
			wrong = trace.judge(&r)
			if g, ok := guard.(*downstream.Guard); ok {
				g.Close()
			}
		})
		return wrong
	}
	for _, trace := range breakerTraces {
		guardOf := func(s downstream.Steps) downstream.Steps { return newGuard(t, s, nil, downstream.Config{}) }
		if wrong := play(t, trace, guardOf); wrong != "" {
			t.Errorf("Guard, %s: %s", trace.name, wrong)
		}
	}
	build := circuitbreaker.NewBuilder[any]
	for name, c := range map[string]circuitbreaker.Builder[any]{
		"half of 100 calls in 10 s fail":  build().WithFailureRateThreshold(0.5, 100, 10*time.Second),
		"90 % of 5 calls within 3 s fail": build().WithFailureRateThreshold(0.9, 5, 3*time.Second),
		"5 failures in a row":             build().WithFailureThreshold(5),
		"20 failures in a row":            build().WithFailureThreshold(20),
	} {
		wrong := 0
		for _, trace := range breakerTraces {
			guardOf := func(s downstream.Steps) downstream.Steps { return libraryBreaker{s, c.WithDelay(time.Minute).Build()} }
			if said := play(t, trace, guardOf); said != "" {
				t.Logf("library, %s; %s: %s", name, trace.name, said)
				wrong++
			}
		}
		if wrong == 0 {
			t.Errorf("library, %s: right on every trace", name)
		}
	}
}
