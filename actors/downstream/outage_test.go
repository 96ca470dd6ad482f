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

// shaky is a service that answers and refuses as it is told, each in its own time.
type shaky struct {
	refuses          func(order string) error
	answers, refusal func() time.Duration

	mu    sync.Mutex
	calls int
}

func (s *shaky) Do(c *gateway.Call, done gateway.Done) {
	s.mu.Lock()
	s.calls++
	err := s.refuses(c.Request.GetOrderId())
	s.mu.Unlock()
	took := s.answers
	if err != nil {
		took = s.refusal
	}
	if d := took(); d > 0 {
		time.AfterFunc(d, func() { done(nil, err) })
		return
	}
	done(nil, err)
}

func (s *shaky) turns(refuses func(string) error) {
	s.mu.Lock()
	s.refuses = refuses
	s.mu.Unlock()
}

func (s *shaky) made() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func never(string) error { return nil }

func always(err error) func(string) error { return func(string) error { return err } }

func takes(d time.Duration) func() time.Duration { return func() time.Duration { return d } }

// upTo is any time below d.
func upTo(d time.Duration) func() time.Duration {
	rnd := draws()
	return func() time.Duration { return time.Duration(rnd() * float64(d)) }
}

// stream makes perSecond calls a second, each of another order.
func stream(g *downstream.Guard, r *results, name string, perSecond int, d time.Duration) {
	for i := range int(d.Seconds() * float64(perSecond)) {
		g.Do(call(fmt.Sprintf("%s-%d", name, i), nil, messages.Do), r.take)
		time.Sleep(time.Second / time.Duration(perSecond))
	}
}

// firstPutOff is how long after began the first call was put off; false: none was.
func firstPutOff(r *results, began time.Time) (time.Duration, bool) {
	for _, one := range r.soFar() {
		if putOff(one) {
			return one.at.Sub(began), true
		}
	}
	return 0, false
}

// A busy service that fails 30 % of its calls at random is up, however fast it answers, whichever is faster, and
// whatever its failures look like.
func TestRandomFailuresAreNoOutage(t *testing.T) {
	for name, c := range map[string]struct {
		answers, refusal func() time.Duration
		err              error
	}{
		"at once":            {takes(0), takes(0), errSilent},
		"steady":             {takes(20 * time.Millisecond), takes(20 * time.Millisecond), errAway},
		"refuses first":      {takes(20 * time.Millisecond), takes(0), errAway},
		"any time":           {upTo(100 * time.Millisecond), upTo(100 * time.Millisecond), errSilent},
		"refuses by silence": {upTo(20 * time.Millisecond), takes(2 * time.Second), errSilent},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rnd := draws()
				s := &shaky{answers: c.answers, refusal: c.refusal, refuses: func(string) error {
					if rnd() < 0.3 {
						return c.err
					}
					return nil
				}}
				g := newGuard(t, s, nil, downstream.Config{})
				defer g.Close()
				var r results
				stream(g, &r, "o", 1000, time.Minute)
				time.Sleep(3 * time.Second)
				if n, bad := r.count(putOff), r.count(failed); n > 0 || bad < 17_000 || bad > 19_000 {
					t.Errorf("%d calls put off, %d failed of 60000, want none and 30 %%", n, bad)
				}
			})
		})
	}
}

// Where a busy service answers nobody any more, its circuit opens within a fraction of a second.
func TestTotalOutageUnderLoad(t *testing.T) {
	for name, c := range map[string]struct {
		err              error
		answers, refusal time.Duration
		perSecond        int
		within           time.Duration // since the first failure
		attempts         int
	}{
		"refused at once":      {errAway, 5 * time.Millisecond, 0, 1000, 25 * time.Millisecond, 25},
		"errors, slow answers": {errSilent, 50 * time.Millisecond, 10 * time.Millisecond, 1000, 150 * time.Millisecond, 150},
		"silence":              {errSilent, 5 * time.Millisecond, 2 * time.Second, 1000, 10 * time.Millisecond, 5},
		"silence, less load":   {errSilent, 5 * time.Millisecond, time.Second, 150, 50 * time.Millisecond, 5},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &shaky{refuses: never, answers: takes(c.answers), refusal: takes(c.refusal)}
				g := newGuard(t, s, nil, downstream.Config{})
				defer g.Close()
				var before, r results
				stream(g, &before, "before", c.perSecond, 10*time.Second)
				s.turns(always(c.err))
				began := time.Now()
				stream(g, &r, "o", c.perSecond, 10*time.Second)
				time.Sleep(3 * time.Second)
				after, opened := firstPutOff(&r, began)
				spent := r.count(failed)
				t.Logf("opened %s after the first failure, %d attempts spent, %d calls made", after-c.refusal, spent, s.made()-before.count(done))
				if !opened || after-c.refusal > c.within || spent > c.attempts {
					t.Errorf("want it open within %s, and at most %d attempts", c.within, c.attempts)
				}
				if n := before.count(done); n != 10*c.perSecond {
					t.Errorf("%d of %d done before", n, 10*c.perSecond)
				}
			})
		})
	}
}

// A service that is called once a second is out after a handful of failures, silent ones and others; one that is called
// ten times a second, after twenty.
func TestTotalOutageWithLittleTraffic(t *testing.T) {
	for _, c := range []struct{ perSecond, attempts int }{{1, 5}, {10, 20}} {
		for _, refusal := range []time.Duration{0, 200 * time.Millisecond, 2 * time.Second} {
			synctest.Test(t, func(t *testing.T) {
				s := &shaky{refuses: never, answers: takes(5 * time.Millisecond), refusal: takes(refusal)}
				g := newGuard(t, s, nil, downstream.Config{})
				defer g.Close()
				var before, r results
				stream(g, &before, "before", c.perSecond, time.Minute)
				s.turns(always(errSilent))
				stream(g, &r, "o", c.perSecond, time.Minute)
				time.Sleep(2 * time.Second)
				if n := r.count(failed); n < 5 || n > c.attempts {
					t.Errorf("%d calls a second that fail after %s: %d attempts spent, want 5 to %d", c.perSecond, refusal, n, c.attempts)
				}
			})
		}
	}
}

// On a node that never heard of the service, five calls that nobody takes are enough, however few or many there are.
func TestNobodyEverListened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{err: errAway}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		for i := range 10 {
			if r := ask(t, g, fmt.Sprintf("o-%d", i), nil); putOff(r) != (i >= 5) {
				t.Errorf("call %d: %+v", i, r)
			}
		}
	})
}

// A service that fails most of its calls and answers the others is out as well, once that has lasted; the answer that
// completes the picture is kept.
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
				s := &shaky{refuses: never, answers: takes(0), refusal: takes(0)}
				g := newGuard(t, s, nil, downstream.Config{})
				defer g.Close()
				var r results
				stream(g, &r, "before", 100, 20*time.Second)
				var n int
				s.turns(func(string) error {
					n++
					if n%c.of < c.fails {
						return errSilent
					}
					return nil
				})
				began := time.Now()
				stream(g, &r, "o", 100, 30*time.Second)
				after, opened := firstPutOff(&r, began)
				if opened != (c.after > 0) || after > c.after || after < c.atLeast {
					t.Errorf("opened: %v, after %s, want %s to %s", opened, after, c.atLeast, c.after)
				}
			})
		})
	}
}

// The share counts from a hundred calls on; also where the hundredth succeeds.
func TestShareNeedsVolume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		for i := range 100 {
			s.becomes(errSilent)
			if i%2 == 1 {
				s.becomes(nil)
			}
			if r := ask(t, g, fmt.Sprintf("o-%d", i), nil); putOff(r) {
				t.Fatalf("call %d was put off", i)
			}
		}
		if r := ask(t, g, "o-100", nil); !putOff(r) {
			t.Errorf("%+v after 50 of 100 calls failed, want a deferral", r)
		}
	})
}

// A service that refuses a part of a burst at once, and answers the rest in its usual time, is up.
func TestShedBurstIsNoOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shaky{refuses: never, answers: takes(100 * time.Millisecond), refusal: takes(time.Millisecond)}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		var r results
		stream(g, &r, "before", 50, 5*time.Second)
		for burst := range 20 {
			time.Sleep(10 * time.Second)
			var n int
			s.turns(func(string) error {
				if n++; n > 60 {
					return errSilent
				}
				return nil
			})
			for i := range 100 {
				g.Do(call(fmt.Sprintf("o-%d-%d", burst, i), nil, messages.Do), r.take)
			}
		}
		time.Sleep(time.Second)
		if off, bad := r.count(putOff), r.count(failed); off > 0 || bad != 20*40 {
			t.Errorf("%d put off and %d failed, want none and the 40 of each burst", off, bad)
		}
	})
}

// failing is the only order that fails.
// One order that always fails, ever so often and next to others that succeed, does not open the circuit.
// Nor do its many calls make a silence of a few failures of others.
// Nor does it keep the circuit open, though each of its trials fails: the others' trials close it, and its failures are
// its own again.
// Three successes close the circuit, three failures open it again, whichever come first.
func TestTrialsDecideByMajority(t *testing.T) {
	for trials, closes := range map[string]bool{"sss": true, "fsfss": true, "ssffs": true, "fff": false, "fssff": false} {
		synctest.Test(t, func(t *testing.T) {
			s := &service{}
			g := newGuard(t, s, nil, downstream.Config{})
			defer g.Close()
			open(t, g, s, errAway)
			time.Sleep(2 * time.Second)
			for i, how := range trials {
				s.becomes(nil)
				if how == 'f' {
					s.becomes(errSilent)
				}
				if r := ask(t, g, fmt.Sprintf("o-%d", i), nil); done(r) != (how == 's') || failed(r) {
					t.Errorf("%s: trial %d: %+v", trials, i, r)
				}
			}
			s.becomes(nil)
			if r := ask(t, g, "o-9", nil); done(r) != closes {
				t.Errorf("%s: then %+v, want it closed: %v", trials, r, closes)
			}
		})
	}
}

// What a failed trial was asked to wait is obeyed by its order, and by no other where it is one order alone.
// A service that fails 30 % at random comes back from an outage like any other.
func TestRandomFailuresAllowTheReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rnd := draws()
		random := func(string) error {
			if rnd() < 0.3 {
				return errSilent
			}
			return nil
		}
		s := &shaky{refuses: random, answers: takes(10 * time.Millisecond), refusal: takes(10 * time.Millisecond)}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		c := &crowd{guard: g}
		c.come("before", 300, 10*time.Second)
		s.turns(always(errAway))
		c.come("during", 300, 10*time.Second)
		s.turns(random)
		c.come("after", 300, 2*time.Minute)
		parks, most := c.parked()
		c.come("late", 300, 10*time.Second)
		again, _ := c.parked()
		t.Logf("%d parks, at most %d of one order", parks, most)
		if again != parks {
			t.Errorf("%d orders park two minutes after the return", again-parks)
		}
		time.Sleep(time.Minute)
		if n, want := c.results.count(done), 300*150; n != want {
			t.Errorf("%d of %d orders done", n, want)
		}
	})
}
