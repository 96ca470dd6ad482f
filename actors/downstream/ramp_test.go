package downstream_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderly-engine/orderly/actors/downstream"
	"github.com/orderly-engine/orderly/messages"
)

// crowd makes fresh calls at a rate and brings those that were put off back when they were told to come.
type crowd struct {
	guard   *downstream.Guard
	results results
	parks   int
	most    int // parks of one order
}

func (c *crowd) order(id string, parks int) {
	c.guard.Do(call(id, nil, messages.Do), func(reply *messages.StepReply, err error) {
		r := result{time.Now(), reply, err}
		if d := r.deferral(); d != nil {
			c.results.mu.Lock()
			c.parks++
			c.most = max(c.most, parks+1)
			c.results.mu.Unlock()
			time.AfterFunc(time.Until(d.Until), func() { c.order(id, parks+1) })
			return
		}
		if err != nil {
			time.AfterFunc(100*time.Millisecond, func() { c.order(id, parks) })
		}
		c.results.take(reply, err)
	})
}

// parked tells how many parks there were, and the most of one order.
func (c *crowd) parked() (all, most int) {
	c.results.mu.Lock()
	defer c.results.mu.Unlock()
	return c.parks, c.most
}

// come lets perSecond orders come for a while.
func (c *crowd) come(name string, perSecond int, d time.Duration) {
	for i := range int(d.Seconds() * float64(perSecond)) {
		c.order(fmt.Sprintf("%s-%d", name, i), 0)
		time.Sleep(time.Second / time.Duration(perSecond))
	}
}

// A service that takes 600 calls per second at most, 60 under way at once, goes away for a minute
// under 200 orders per second. When it is back, the pace never comes near what it can take before it has proved itself, it
// does not fall over again, and the backlog is worked off in less time than the outage took.
func TestReturnIsPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{latency: 100 * time.Millisecond, capacity: 60}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		c := &crowd{guard: g}
		c.come("before", 200, 10*time.Second)
		s.becomes(errAway)
		before, _, _ := s.counts()
		c.come("during", 200, time.Minute)
		if n, _, _ := s.counts(); n-before > 150 {
			t.Errorf("%d calls during the outage, want trials only", n-before)
		}
		s.becomes(nil)
		back := time.Now()
		var perSecond []int
		for len(perSecond) < 120 && c.results.count(done) < 200*(10+60+len(perSecond))-50 {
			c.come(fmt.Sprintf("after-%d", len(perSecond)), 200, time.Second)
			perSecond = append(perSecond, s.called(time.Second))
		}
		parks, most := c.parked()
		t.Logf("calls per second after the return: %v; %d parks, at most %d of one order", perSecond, parks, most)
		if n := c.results.count(failed); n > 50 {
			t.Errorf("%d failures count, want the few that opened the circuit: it was knocked over", n)
		}
		for i, n := range perSecond[:4] {
			if n > 200 {
				t.Errorf("%d calls in second %d after the return", n, i)
			}
		}
		for i, n := range perSecond[1:] {
			if before := perSecond[i]; n > 3*max(before, 15) {
				t.Errorf("%d calls in second %d after %d in the one before", n, i+1, before)
			}
		}
		if _, _, most := s.counts(); most > 60 {
			t.Errorf("%d calls under way, the service takes 60", most)
		}
		if took := time.Since(back); took > 2*time.Minute {
			t.Errorf("the backlog took %s", took)
		}
		if most > 25 {
			t.Errorf("an order parked %d times", most)
		}
		time.Sleep(5 * time.Minute)
		total := 200*10 + 200*60 + 200*len(perSecond)
		if n := c.results.count(done); n != total {
			t.Errorf("%d of %d orders done", n, total)
		}
		// All is as before.
		if r := c.results.count(putOff); r != 0 {
			t.Errorf("%d put off", r)
		}
		parks, _ = c.parked()
		c.come("late", 400, 2*time.Second)
		if again, _ := c.parked(); again != parks {
			t.Errorf("%d orders parked long after the return", again-parks)
		}
		time.Sleep(time.Second)
	})
}

// A node that knows nothing about a service yet meets it after a short outage: what parked is back within seconds.
func TestReturnOnAFreshNode(t *testing.T) {
	for _, c := range []struct {
		waiting, fresh int // orders that come in the second of the outage, and in each one after it
		within         time.Duration
		parks          int // of one order
	}{{200, 0, 9 * time.Second, 6}, {200, 20, 9 * time.Second, 6}, {200, 200, 12 * time.Second, 6}, {2000, 0, 14 * time.Second, 6}} {
		t.Run(fmt.Sprintf("%d waiting, %d per second", c.waiting, c.fresh), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &service{latency: 5 * time.Millisecond, err: errAway}
				g := newGuard(t, s, nil, downstream.Config{})
				defer g.Close()
				waiting, fresh := &crowd{guard: g}, &crowd{guard: g}
				waiting.come("waits", c.waiting, time.Second)
				s.becomes(nil)
				back := time.Now()
				if c.fresh > 0 {
					fresh.come("fresh", c.fresh, 30*time.Second)
				}
				time.Sleep(2 * time.Minute)
				ends := make([]time.Duration, 0, c.waiting)
				for _, r := range waiting.results.soFar() {
					if done(r) {
						ends = append(ends, r.at.Sub(back))
					}
				}
				if len(ends) != c.waiting || fresh.results.count(done) != 30*c.fresh {
					t.Fatalf("%d of %d and %d of %d done", len(ends), c.waiting, fresh.results.count(done), 30*c.fresh)
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

// While parked orders are due, a quiet second does not end the pace.
func TestPaceLastsUntilTheParkedAreBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{latency: 10 * time.Millisecond}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		c := &crowd{guard: g}
		c.come("before", 800, 3*time.Second)
		time.Sleep(time.Second / 50) // until all are answered: a success would close the row of failures
		s.takes(0)
		open(t, g, s, errAway)
		var last time.Time
		for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(100 * time.Millisecond) {
			if d := ask(t, g, "o-1", nil).deferral(); d.Until.After(last) {
				last = d.Until
			}
		}
		s.becomes(nil)
		time.Sleep(10 * time.Second)
		var r results
		for range 5 {
			g.Do(call("o-1", nil, messages.Do), r.take)
			time.Sleep(2 * time.Second)
		}
		burst := func() int {
			for range 1000 {
				g.Do(call("o-1", nil, messages.Do), r.take)
			}
			time.Sleep(time.Second)
			return s.called(time.Second + time.Millisecond)
		}
		if wait := time.Until(last); wait < 5*time.Second {
			t.Fatalf("the last parked order is due in %s: no test", wait)
		}
		if n := burst(); n > 110 {
			t.Errorf("%d calls in a second while parked orders are due, want an eighth of 800", n)
		}
		time.Sleep(time.Until(last) + 60*time.Second)
		for range 5 {
			g.Do(call("o-1", nil, messages.Do), r.take)
			time.Sleep(2 * time.Second)
		}
		if n := burst(); n != 1000 {
			t.Errorf("%d of 1000 calls long after the return", n)
		}
	})
}

// A return that was too fast is remembered: the next one is slower, and the downstream stands.
func TestReturnThatWasTooFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{latency: 100 * time.Millisecond, capacity: 30}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		c := &crowd{guard: g}
		c.come("before", 200, 10*time.Second)
		s.becomes(errAway)
		c.come("during", 200, 30*time.Second)
		s.becomes(nil)
		failures := c.results.count(failed)
		c.come("after", 50, 3*time.Minute)
		fell := c.results.count(failed) - failures
		t.Logf("%d failures that count after the return", fell)
		// One fall: what is called in twice the time that an answer takes, and what was under way.
		if fell > 100 {
			t.Errorf("%d failures that count after the return", fell)
		}
		time.Sleep(5 * time.Minute)
		if n := c.results.count(done); n != 200*40+50*180 {
			t.Errorf("%d of %d orders done", n, 200*40+50*180)
		}
	})
}

func TestRecoveringSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		open(t, g, s, errAway)
		time.Sleep(time.Second)
		s.becomes(nil)
		var r results
		for range 1000 {
			g.Do(call("o-1", nil, messages.Do), r.take)
		}
		time.Sleep(10 * time.Second)
		if n := r.count(done); n < 3+10 || n > 3+15 {
			t.Errorf("%d calls, want the trials and a second of the slowest pace", n)
		}
		for _, one := range r.soFar() {
			if d := one.deferral(); d != nil && !strings.HasPrefix(d.Reason, "stock was out and is met again at a growing pace, now 10 calls per second") {
				t.Fatalf("reason %q", d.Reason)
			}
		}
	})
}

// A moment without answers on the way back, at a low pace, does not slow the downstream down for good.
func TestPaceForgetsAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{latency: 10 * time.Millisecond}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		c := &crowd{guard: g}
		c.come("before", 200, 10*time.Second)
		s.becomes(errAway)
		c.come("during", 200, 30*time.Second)
		s.becomes(nil)
		for c.results.count(done) < 200*10+50 {
			c.come(fmt.Sprintf("back-%d", c.results.count(done)), 200, time.Second/20)
		}
		s.becomes(errAway)
		c.come("moment", 200, time.Second/2)
		s.becomes(nil)
		c.come("after", 200, 5*time.Minute)
		parks, _ := c.parked()
		c.come("late", 200, 10*time.Second)
		if again, _ := c.parked(); again != parks {
			t.Errorf("%d orders park five minutes after the moment, at %d calls per second", again-parks, s.called(time.Second))
		}
		time.Sleep(5 * time.Minute)
	})
}

// Where a return ends in another outage while calls wait, the outage is what it was: its end is no end of the pace.
func TestFallWithCallsThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := &messages.Limits{Concurrency: 1}
		s := &service{}
		g := newGuard(t, s, limits, downstream.Config{})
		defer g.Close()
		open(t, g, s, errSilent)
		time.Sleep(4 * time.Second)
		s.becomes(nil)
		for range 3 {
			ask(t, g, "o-1", limits)
		}
		s.becomes(errSilent)
		for i := range 4 {
			if r := ask(t, g, fmt.Sprintf("o-%d", i), limits); !failed(r) {
				t.Fatalf("call %d: %+v, want a failure that counts", i, r)
			}
			time.Sleep(150 * time.Millisecond)
		}
		s.takes(3 * time.Second)
		var last, waits results
		g.Do(call("o-4", limits, messages.Do), last.take)
		time.Sleep(150 * time.Millisecond)
		g.Do(call("o-5", limits, messages.Do), waits.take)
		time.Sleep(3 * time.Second)
		all := waits.soFar()
		if len(all) != 1 || all[0].deferral() == nil {
			t.Fatalf("%+v, want a deferral", all)
		}
		if wait := all[0].deferral().Until.Sub(all[0].at); wait > 20*time.Second {
			t.Errorf("parked for %s in an outage of seconds", wait)
		}
	})
}
