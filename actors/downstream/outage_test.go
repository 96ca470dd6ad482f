package downstream_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderly-engine/orderly/actors/downstream"
	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
)

// flakyService replies or fails as refuses says, each after its own time.
type flakyService struct {
	refuses                func(order string) error
	replyTime, refusalTime func() time.Duration

	mu    sync.Mutex
	calls int
}

func (s *flakyService) Do(c *gateway.Call, done gateway.Done) {
	s.mu.Lock()
	s.calls++
	err := s.refuses(c.Request.GetOrderId())
	s.mu.Unlock()
	took := s.replyTime
	if err != nil {
		took = s.refusalTime
	}
	if d := took(); d > 0 {
		time.AfterFunc(d, func() { done(nil, err) })
		return
	}
	done(nil, err)
}

func (s *flakyService) setRefuse(refuses func(string) error) {
	s.mu.Lock()
	s.refuses = refuses
	s.mu.Unlock()
}

func (s *flakyService) callCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func neverFails(string) error { return nil }

func alwaysFails(err error) func(string) error { return func(string) error { return err } }

func fixed(d time.Duration) func() time.Duration { return func() time.Duration { return d } }

// randomUpTo draws times below d.
func randomUpTo(d time.Duration) func() time.Duration {
	rnd := newRand()
	return func() time.Duration { return time.Duration(rnd() * float64(d)) }
}

// callAtRate makes perSecond calls per second, each of another order.
func callAtRate(g downstream.Steps, r *results, name string, perSecond int, d time.Duration) {
	for i := range int(d.Seconds() * float64(perSecond)) {
		g.Do(call(fmt.Sprintf("%s-%d", name, i), nil, messages.Do), r.add)
		time.Sleep(time.Second / time.Duration(perSecond))
	}
}

// firstDeferral returns how long after began the first call was deferred; false: none was.
func firstDeferral(r *results, began time.Time) (time.Duration, bool) {
	for _, one := range r.list() {
		if deferred(one) {
			return one.at.Sub(began), true
		}
	}
	return 0, false
}

// A busy service that fails 30 % of its calls at random does not open the circuit, whatever the kind and the times of its
// replies and failures.
func TestRandomFailuresDoNotOpen(t *testing.T) {
	for name, c := range map[string]struct {
		answers, refusal func() time.Duration
		err              error
	}{
		"at once":       {fixed(0), fixed(0), errTimeout},
		"steady":        {fixed(20 * time.Millisecond), fixed(20 * time.Millisecond), errUnreachable},
		"refuses first": {fixed(20 * time.Millisecond), fixed(0), errUnreachable},
		"any time":      {randomUpTo(100 * time.Millisecond), randomUpTo(100 * time.Millisecond), errTimeout},
		"never replies": {randomUpTo(20 * time.Millisecond), fixed(2 * time.Second), errTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rnd := newRand()
				s := &flakyService{replyTime: c.answers, refusalTime: c.refusal, refuses: func(string) error {
					if rnd() < 0.3 {
						return c.err
					}
					return nil
				}}
				g := newGuard(t, s, nil, downstream.Config{})
				defer g.Close()
				var r results
				callAtRate(g, &r, "o", 1000, time.Minute)
				time.Sleep(3 * time.Second)
				if n, bad := r.count(deferred), r.count(failed); n > 0 || bad < 17_000 || bad > 19_000 {
					t.Errorf("%d calls deferred, %d failed of 60000, want none and 30 %%", n, bad)
				}
			})
		})
	}
}

// When a busy service stops to reply, the circuit opens within a fraction of a second.
func TestTotalOutageUnderLoad(t *testing.T) {
	for name, c := range map[string]struct {
		err              error
		answers, refusal time.Duration
		perSecond        int
		within           time.Duration // since the first failure
		attempts         int
	}{
		"refused at once":       {errUnreachable, 5 * time.Millisecond, 0, 1000, 25 * time.Millisecond, 25},
		"errors, slow answers":  {errTimeout, 50 * time.Millisecond, 10 * time.Millisecond, 1000, 150 * time.Millisecond, 150},
		"no replies":            {errTimeout, 5 * time.Millisecond, 2 * time.Second, 1000, 10 * time.Millisecond, 5},
		"no replies, less load": {errTimeout, 5 * time.Millisecond, time.Second, 150, 50 * time.Millisecond, 5},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &flakyService{refuses: neverFails, replyTime: fixed(c.answers), refusalTime: fixed(c.refusal)}
				g := newGuard(t, s, nil, downstream.Config{})
				defer g.Close()
				var before, r results
				callAtRate(g, &before, "before", c.perSecond, 10*time.Second)
				s.setRefuse(alwaysFails(c.err))
				began := time.Now()
				callAtRate(g, &r, "o", c.perSecond, 10*time.Second)
				time.Sleep(3 * time.Second)
				after, opened := firstDeferral(&r, began)
				spent := r.count(failed)
				t.Logf("opened %s after the first failure, %d attempts spent, %d calls made", after-c.refusal, spent, s.callCount()-before.count(succeeded))
				if !opened || after-c.refusal > c.within || spent > c.attempts {
					t.Errorf("want it open within %s, and at most %d attempts", c.within, c.attempts)
				}
				if n := before.count(succeeded); n != 10*c.perSecond {
					t.Errorf("%d of %d done before", n, 10*c.perSecond)
				}
			})
		})
	}
}

// At one call per second the circuit opens after five failures, timeouts or others; at ten per second after twenty.
func TestTotalOutageWithLittleTraffic(t *testing.T) {
	for _, c := range []struct{ perSecond, attempts int }{{1, 5}, {10, 20}} {
		for _, refusal := range []time.Duration{0, 200 * time.Millisecond, 2 * time.Second} {
			synctest.Test(t, func(t *testing.T) {
				s := &flakyService{refuses: neverFails, replyTime: fixed(5 * time.Millisecond), refusalTime: fixed(refusal)}
				g := newGuard(t, s, nil, downstream.Config{})
				defer g.Close()
				var before, r results
				callAtRate(g, &before, "before", c.perSecond, time.Minute)
				s.setRefuse(alwaysFails(errTimeout))
				callAtRate(g, &r, "o", c.perSecond, time.Minute)
				time.Sleep(2 * time.Second)
				if n := r.count(failed); n < 5 || n > c.attempts {
					t.Errorf("%d calls a second that fail after %s: %d attempts spent, want 5 to %d", c.perSecond, refusal, n, c.attempts)
				}
			})
		}
	}
}

// Before the first reply, five calls without a listener open the circuit at any rate.
func TestNoListenerOnFreshNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeService{err: errUnreachable}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		for i := range 10 {
			if r := callStep(t, g, fmt.Sprintf("o-%d", i), nil); deferred(r) != (i >= 5) {
				t.Errorf("call %d: %+v", i, r)
			}
		}
	})
}

// A failure rate of half opens the circuit once it has lasted, even with a success; the reply of that call is kept.
func TestMostCallsFail(t *testing.T) {
	for name, c := range map[string]struct {
		fails, of      int
		after, atLeast time.Duration // 0: never
	}{
		"a third":    {1, 3, 0, 0},
		"half":       {1, 2, 10500 * time.Millisecond, 9 * time.Second},
		"two thirds": {2, 3, 8 * time.Second, 6 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &flakyService{refuses: neverFails, replyTime: fixed(0), refusalTime: fixed(0)}
				g := newGuard(t, s, nil, downstream.Config{})
				defer g.Close()
				var r results
				callAtRate(g, &r, "before", 100, 20*time.Second)
				var n int
				s.setRefuse(func(string) error {
					n++
					if n%c.of < c.fails {
						return errTimeout
					}
					return nil
				})
				began := time.Now()
				callAtRate(g, &r, "o", 100, 30*time.Second)
				after, opened := firstDeferral(&r, began)
				if opened != (c.after > 0) || after > c.after || after < c.atLeast {
					t.Errorf("opened: %v, after %s, want %s to %s", opened, after, c.atLeast, c.after)
				}
			})
		})
	}
}

// The failure rate counts from 100 calls on, also when the hundredth succeeds.
func TestFailureRateNeedsMinCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeService{}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		for i := range 100 {
			s.setError(errTimeout)
			if i%2 == 1 {
				s.setError(nil)
			}
			if r := callStep(t, g, fmt.Sprintf("o-%d", i), nil); deferred(r) {
				t.Fatalf("call %d was deferred", i)
			}
		}
		if r := callStep(t, g, "o-100", nil); !deferred(r) {
			t.Errorf("%+v after 50 of 100 calls failed, want a deferral", r)
		}
	})
}

// A service that refuses part of a burst at once and replies to the others in its usual time does not open the circuit.
func TestShedBurstDoesNotOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &flakyService{refuses: neverFails, replyTime: fixed(100 * time.Millisecond), refusalTime: fixed(time.Millisecond)}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		var r results
		callAtRate(g, &r, "before", 50, 5*time.Second)
		for burst := range 20 {
			time.Sleep(10 * time.Second)
			var n int
			s.setRefuse(func(string) error {
				if n++; n > 60 {
					return errTimeout
				}
				return nil
			})
			for i := range 100 {
				g.Do(call(fmt.Sprintf("o-%d-%d", burst, i), nil, messages.Do), r.add)
			}
		}
		time.Sleep(time.Second)
		if off, bad := r.count(deferred), r.count(failed); off > 0 || bad != 20*40 {
			t.Errorf("%d deferred and %d failed, want none and the 40 of each burst", off, bad)
		}
	})
}

// Three successes close the circuit, three failures open it again, whichever comes first.
func TestTrialsDecideByMajority(t *testing.T) {
	for trials, closes := range map[string]bool{"sss": true, "fsfss": true, "ssffs": true, "fff": false, "fssff": false} {
		synctest.Test(t, func(t *testing.T) {
			s := &fakeService{}
			g := newGuard(t, s, nil, downstream.Config{})
			defer g.Close()
			openCircuit(t, g, s, errUnreachable)
			time.Sleep(2 * time.Second)
			for i, how := range trials {
				s.setError(nil)
				if how == 'f' {
					s.setError(errTimeout)
				}
				if r := callStep(t, g, fmt.Sprintf("o-%d", i), nil); succeeded(r) != (how == 's') || failed(r) {
					t.Errorf("%s: trial %d: %+v", trials, i, r)
				}
			}
			s.setError(nil)
			if r := callStep(t, g, "o-9", nil); succeeded(r) != closes {
				t.Errorf("%s: then %+v, want it closed: %v", trials, r, closes)
			}
		})
	}
}

// A service that fails 30 % at random recovers from an outage like any other.
func TestRandomFailuresAllowRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rnd := newRand()
		random := func(string) error {
			if rnd() < 0.3 {
				return errTimeout
			}
			return nil
		}
		s := &flakyService{refuses: random, replyTime: fixed(10 * time.Millisecond), refusalTime: fixed(10 * time.Millisecond)}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		c := &orderFlow{guard: g}
		c.arrive("before", 300, 10*time.Second)
		s.setRefuse(alwaysFails(errUnreachable))
		c.arrive("during", 300, 10*time.Second)
		s.setRefuse(random)
		c.arrive("after", 300, 2*time.Minute)
		parks, most := c.parked()
		c.arrive("late", 300, 10*time.Second)
		again, _ := c.parked()
		t.Logf("%d parks, at most %d of one order", parks, most)
		if again != parks {
			t.Errorf("%d orders park two minutes after the outage", again-parks)
		}
		time.Sleep(time.Minute)
		if n, want := c.results.count(succeeded), 300*150; n != want {
			t.Errorf("%d of %d orders done", n, want)
		}
	})
}
