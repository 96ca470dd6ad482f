package downstream_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderly-engine/orderly/actors/downstream"
	"github.com/orderly-engine/orderly/messages"
)

// orderFlow makes the calls of orders at a rate, again after each deferral and failure.
type orderFlow struct {
	guard    *downstream.Guard
	results  results
	parks    int
	maxParks int           // parks of one order
	returns  map[int64]int // orders that return from a park, by Unix second
}

func (c *orderFlow) order(id string, parks int) {
	c.guard.Do(call(id, nil, messages.Do), func(reply *messages.StepReply, err error) {
		r := result{time.Now(), reply, err}
		if d := r.deferral(); d != nil {
			c.results.mu.Lock()
			c.parks++
			c.maxParks = max(c.maxParks, parks+1)
			if c.returns == nil {
				c.returns = map[int64]int{}
			}
			c.returns[d.Until.Unix()]++
			c.results.mu.Unlock()
			time.AfterFunc(time.Until(d.Until), func() { c.order(id, parks+1) })
			return
		}
		if err != nil {
			time.AfterFunc(100*time.Millisecond, func() { c.order(id, parks) })
		}
		c.results.add(reply, err)
	})
}

// parked returns the number of parks, and the most of one order.
func (c *orderFlow) parked() (all, most int) {
	c.results.mu.Lock()
	defer c.results.mu.Unlock()
	return c.parks, c.maxParks
}

// maxReturns is the most returns in a second.
func (c *orderFlow) maxReturns() int {
	c.results.mu.Lock()
	defer c.results.mu.Unlock()
	return slices.Max(slices.Collect(maps.Values(c.returns)))
}

// arrive starts perSecond orders per second.
func (c *orderFlow) arrive(name string, perSecond int, d time.Duration) {
	for i := range int(d.Seconds() * float64(perSecond)) {
		c.order(fmt.Sprintf("%s-%d", name, i), 0)
		time.Sleep(time.Second / time.Duration(perSecond))
	}
}

// A service that takes 600 calls per second, 60 in flight, is unavailable for a minute while 200 orders per second arrive.
// After that the rate grows step by step, the service is not overloaded, and the backlog is done within two minutes.
func TestSlowStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeService{latency: 100 * time.Millisecond, capacity: 60}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		c := &orderFlow{guard: g}
		c.arrive("before", 200, 10*time.Second)
		s.setError(errUnreachable)
		before, _, _ := s.counts()
		c.arrive("during", 200, time.Minute)
		if n, _, _ := s.counts(); n-before > 150 {
			t.Errorf("%d calls during the outage, want trials only", n-before)
		}
		s.setError(nil)
		back := time.Now()
		var perSecond []int
		for len(perSecond) < 120 && c.results.count(succeeded) < 200*(10+60+len(perSecond))-50 {
			c.arrive(fmt.Sprintf("after-%d", len(perSecond)), 200, time.Second)
			perSecond = append(perSecond, s.calledWithin(time.Second))
		}
		parks, most := c.parked()
		t.Logf("calls per second after the outage: %v; %d parks, at most %d of one order", perSecond, parks, most)
		if n := c.results.count(failed); n > 50 {
			t.Errorf("%d failures, want only those that opened the circuit", n)
		}
		for i, n := range perSecond[:4] {
			if n > 200 {
				t.Errorf("%d calls in second %d after the outage", n, i)
			}
		}
		for i, n := range perSecond[1:] {
			if before := perSecond[i]; n > 3*max(before, 15) {
				t.Errorf("%d calls in second %d after %d in the one before", n, i+1, before)
			}
		}
		if _, _, most := s.counts(); most > 60 {
			t.Errorf("%d calls in flight, the service takes 60", most)
		}
		if took := time.Since(back); took > 2*time.Minute {
			t.Errorf("the backlog took %s", took)
		}
		if most > 25 {
			t.Errorf("an order parked %d times", most)
		}
		time.Sleep(5 * time.Minute)
		total := 200*10 + 200*60 + 200*len(perSecond)
		if n := c.results.count(succeeded); n != total {
			t.Errorf("%d of %d orders done", n, total)
		}
		if r := c.results.count(deferred); r != 0 {
			t.Errorf("%d deferred", r)
		}
		parks, _ = c.parked()
		c.arrive("late", 400, 2*time.Second)
		if again, _ := c.parked(); again != parks {
			t.Errorf("%d orders parked long after the outage", again-parks)
		}
		time.Sleep(time.Second)
	})
}

// Parked orders return within seconds after a short outage of a service that the node has not called before.
func TestRecoveryOnFreshNode(t *testing.T) {
	for _, c := range []struct {
		waiting, fresh int // orders that arrive in the second of the outage, and in each second after it
		within         time.Duration
		parks          int // of one order
	}{{200, 0, 9 * time.Second, 6}, {200, 20, 9 * time.Second, 6}, {200, 200, 12 * time.Second, 6}, {2000, 0, 14 * time.Second, 6}} {
		t.Run(fmt.Sprintf("%d waiting, %d per second", c.waiting, c.fresh), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &fakeService{latency: 5 * time.Millisecond, err: errUnreachable}
				g := newGuard(t, s, nil, downstream.Config{})
				defer g.Close()
				waiting, fresh := &orderFlow{guard: g}, &orderFlow{guard: g}
				waiting.arrive("waits", c.waiting, time.Second)
				s.setError(nil)
				back := time.Now()
				if c.fresh > 0 {
					fresh.arrive("fresh", c.fresh, 30*time.Second)
				}
				time.Sleep(2 * time.Minute)
				ends := make([]time.Duration, 0, c.waiting)
				for _, r := range waiting.results.list() {
					if succeeded(r) {
						ends = append(ends, r.at.Sub(back))
					}
				}
				if len(ends) != c.waiting || fresh.results.count(succeeded) != 30*c.fresh {
					t.Fatalf("%d of %d and %d of %d done", len(ends), c.waiting, fresh.results.count(succeeded), 30*c.fresh)
				}
				parks, most := waiting.parked()
				last := ends[len(ends)-1]
				t.Logf("half are done after %s, all after %s; %d parks, at most %d of one order", ends[len(ends)/2], last, parks, most)
				if last > c.within || most > c.parks {
					t.Errorf("want all done within %s, and at most %d parks", c.within, c.parks)
				}
			})
		})
	}
}

// Slow start continues without a waiting call while parked orders are due.
func TestSlowStartLastsUntilParkedOrdersReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeService{latency: 10 * time.Millisecond}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		c := &orderFlow{guard: g}
		c.arrive("before", 800, 3*time.Second)
		time.Sleep(time.Second / 50) // until all have ended: a success would reset the no-reply detector
		s.setLatency(0)
		openCircuit(t, g, s, errUnreachable)
		var last time.Time
		for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(100 * time.Millisecond) {
			if d := callStep(t, g, "o-1", nil).deferral(); d.Until.After(last) {
				last = d.Until
			}
		}
		s.setError(nil)
		time.Sleep(10 * time.Second)
		var r results
		for range 5 {
			g.Do(call("o-1", nil, messages.Do), r.add)
			time.Sleep(2 * time.Second)
		}
		burst := func() int {
			for range 1000 {
				g.Do(call("o-1", nil, messages.Do), r.add)
			}
			time.Sleep(time.Second)
			return s.calledWithin(time.Second + time.Millisecond)
		}
		if wait := time.Until(last); wait < 5*time.Second {
			t.Fatalf("the last parked order returns in %s: the test needs 5s", wait)
		}
		if n := burst(); n > 110 {
			t.Errorf("%d calls in a second while parked orders are due, want an eighth of 800", n)
		}
		time.Sleep(time.Until(last) + 60*time.Second)
		for range 5 {
			g.Do(call("o-1", nil, messages.Do), r.add)
			time.Sleep(2 * time.Second)
		}
		if n := burst(); n != 1000 {
			t.Errorf("%d of 1000 calls long after the outage", n)
		}
	})
}

// After a slow start that failed the next one is slower and does not overload the service.
func TestSlowStartRemembersFailedRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeService{latency: 100 * time.Millisecond, capacity: 30}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		c := &orderFlow{guard: g}
		c.arrive("before", 200, 10*time.Second)
		s.setError(errUnreachable)
		c.arrive("during", 200, 30*time.Second)
		s.setError(nil)
		failures := c.results.count(failed)
		c.arrive("after", 50, 3*time.Minute)
		fell := c.results.count(failed) - failures
		t.Logf("%d failures after the outage", fell)
		// One overload: the calls made in twice the reply time, and those in flight.
		if fell > 100 {
			t.Errorf("%d failures after the outage", fell)
		}
		time.Sleep(5 * time.Minute)
		if n := c.results.count(succeeded); n != 200*40+50*180 {
			t.Errorf("%d of %d orders done", n, 200*40+50*180)
		}
	})
}

func TestSlowStartReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeService{}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		openCircuit(t, g, s, errUnreachable)
		time.Sleep(time.Second)
		s.setError(nil)
		var r results
		for range 1000 {
			g.Do(call("o-1", nil, messages.Do), r.add)
		}
		time.Sleep(10 * time.Second)
		if n := r.count(succeeded); n < 3+10 || n > 3+15 {
			t.Errorf("%d calls, want the trials and one second at the lowest rate", n)
		}
		for _, one := range r.list() {
			if d := one.deferral(); d != nil && !strings.HasPrefix(d.Reason, "stock is recovering (slow start, now 10 calls per second)") {
				t.Fatalf("reason %q", d.Reason)
			}
		}
	})
}

// A short relapse at a low rate does not keep the rate low.
func TestSlowStartAfterShortRelapse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeService{latency: 10 * time.Millisecond}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		c := &orderFlow{guard: g}
		c.arrive("before", 200, 10*time.Second)
		s.setError(errUnreachable)
		c.arrive("during", 200, 30*time.Second)
		s.setError(nil)
		for c.results.count(succeeded) < 200*10+50 {
			c.arrive(fmt.Sprintf("back-%d", c.results.count(succeeded)), 200, time.Second/20)
		}
		s.setError(errUnreachable)
		c.arrive("moment", 200, time.Second/2)
		s.setError(nil)
		c.arrive("after", 200, 5*time.Minute)
		parks, _ := c.parked()
		c.arrive("late", 200, 10*time.Second)
		if again, _ := c.parked(); again != parks {
			t.Errorf("%d orders park five minutes after the relapse, at %d calls per second", again-parks, s.calledWithin(time.Second))
		}
		time.Sleep(5 * time.Minute)
	})
}

// A relapse during slow start, with calls waiting, is the same outage: parks do not get long.
func TestRelapseWithWaitingCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := &messages.Limits{Concurrency: 1}
		s := &fakeService{}
		g := newGuard(t, s, limits, downstream.Config{})
		defer g.Close()
		openCircuit(t, g, s, errTimeout)
		time.Sleep(4 * time.Second)
		s.setError(nil)
		for range 3 {
			callStep(t, g, "o-1", limits)
		}
		s.setError(errTimeout)
		for i := range 4 {
			if r := callStep(t, g, fmt.Sprintf("o-%d", i), limits); !failed(r) {
				t.Fatalf("call %d: %+v, want a failure", i, r)
			}
			time.Sleep(150 * time.Millisecond)
		}
		s.setLatency(3 * time.Second)
		var last, waits results
		g.Do(call("o-4", limits, messages.Do), last.add)
		time.Sleep(150 * time.Millisecond)
		g.Do(call("o-5", limits, messages.Do), waits.add)
		time.Sleep(3 * time.Second)
		all := waits.list()
		if len(all) != 1 || all[0].deferral() == nil {
			t.Fatalf("%+v, want a deferral", all)
		}
		if wait := all[0].deferral().Until.Sub(all[0].at); wait > 20*time.Second {
			t.Errorf("parked for %s in an outage of seconds", wait)
		}
	})
}
