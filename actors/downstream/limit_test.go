package downstream_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderly-engine/orderly/actors/downstream"
	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
)

func TestConcurrencyLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, limits := &fakeService{latency: time.Second}, &messages.Limits{Concurrency: 4}
		g := newGuard(t, s, limits, downstream.Config{Hold: 5 * time.Second})
		defer g.Close()
		var r results
		began := time.Now()
		for range 40 {
			g.Do(call("o-1", limits, messages.Do), r.add)
		}
		time.Sleep(time.Minute)
		if _, _, most := s.counts(); most != 4 {
			t.Errorf("%d calls at once, want 4", most)
		}
		// After five seconds 20 calls have ended and four more have just started; the others are deferred.
		if ok, off := r.count(succeeded), r.count(deferred); ok < 20 || ok > 24 || ok+off != 40 {
			t.Errorf("%d done and %d deferred", ok, off)
		}
		for i, at := range s.startTimes() {
			if want := time.Duration(i/4) * time.Second; at.Sub(began) != want {
				t.Errorf("call %d started after %s, want %s", i, at.Sub(began), want)
			}
		}
		for _, one := range r.list() {
			if d := one.deferral(); d != nil {
				if d.Reason != "stock is at its limit (4 calls in flight)" {
					t.Fatalf("reason %q", d.Reason)
				}
				if wait := d.Until.Sub(one.at); wait < 5*time.Second || wait > time.Minute+5*time.Second {
					t.Fatalf("deferred for %s", wait)
				}
			}
		}
	})
}

// TestParksEndByTheServersClock: a node that is ten minutes ahead parks orders for no longer than others.
func TestParksEndByTheServersClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const behind = 10 * time.Minute
		s, limits := &fakeService{latency: time.Second}, &messages.Limits{Rate: 1}
		g := newGuard(t, s, limits, downstream.Config{Hold: time.Second, ServerTime: func(t time.Time) time.Time { return t.Add(-behind) }})
		defer g.Close()
		var r results
		for range 10 {
			g.Do(call("o-1", limits, messages.Do), r.add)
		}
		time.Sleep(time.Minute)
		if r.count(deferred) == 0 {
			t.Fatal("nothing is deferred")
		}
		for _, one := range r.list() {
			if d := one.deferral(); d != nil {
				if wait := d.Until.Add(behind).Sub(one.at); wait < 0 || wait > 30*time.Second {
					t.Errorf("deferred for %s", wait)
				}
			}
		}
	})
}

func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, limits := &fakeService{latency: 10 * time.Millisecond}, &messages.Limits{Rate: 100}
		g := newGuard(t, s, limits, downstream.Config{Hold: 3 * time.Second})
		defer g.Close()
		var r results
		for range 1000 {
			g.Do(call("o-1", limits, messages.Do), r.add)
		}
		if off := r.count(deferred); off < 690 || off > 700 {
			t.Errorf("%d deferred at once, want those beyond 3 seconds of 100 calls", off)
		}
		for range 3 {
			time.Sleep(time.Second)
			if n := s.calledWithin(time.Second); n < 98 || n > 102 {
				t.Errorf("%d calls in a second, want 100", n)
			}
		}
		time.Sleep(time.Second)
		if n := s.calledWithin(time.Second); n > 2 {
			t.Errorf("%d calls after all have ended", n)
		}
		// Deferred orders return at the rate.
		last := time.Time{}
		for _, one := range r.list() {
			if d := one.deferral(); d != nil {
				if d.Until.Before(last) {
					t.Fatalf("a later call returns earlier")
				}
				last = d.Until
			}
		}
		if span := last.Sub(r.list()[0].deferral().Until); span < 6*time.Second || span > 8*time.Second {
			t.Errorf("700 orders return within %s, want 7s", span)
		}
	})
}

// The limits of the node's own plan also hold for orders under an older plan.
func TestLimitsOfNodePlanWin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeService{latency: time.Second}
		g := newGuard(t, s, &messages.Limits{Concurrency: 2}, downstream.Config{})
		defer g.Close()
		var r results
		for range 10 {
			g.Do(call("o-1", &messages.Limits{Concurrency: 8}, messages.Do), r.add)
		}
		synctest.Wait()
		if _, under, _ := s.counts(); under != 2 {
			t.Errorf("%d calls at once, want 2", under)
		}
		time.Sleep(time.Minute)
	})
}

// A downstream has the limits of the step that calls it in do, not of an earlier one that calls it in undo.
func TestLimitsOfDoStepWin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeService{latency: time.Second}
		g, err := downstream.New(s, &messages.Plan{Steps: []*messages.Step{
			{Name: "a", Do: "nats://one.do", Undo: "nats://two.undo", Limits: &messages.Limits{Concurrency: 2}},
			{Name: "b", Do: "nats://two.do", Limits: &messages.Limits{Concurrency: 7}},
		}}, nil, downstream.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		var r results
		for range 10 {
			c := call("o-1", nil, messages.Undo)
			c.Step = &messages.Step{Name: "a", Do: "nats://one.do", Undo: "nats://two.undo"}
			g.Do(c, r.add)
		}
		synctest.Wait()
		if _, under, _ := s.counts(); under != 7 {
			t.Errorf("%d calls at once, want 7", under)
		}
		time.Sleep(time.Minute)
	})
}

// stackService records how deep on the stack it is called.
type stackService struct {
	fakeService
	maxDepth int
}

func (d *stackService) Do(c *gateway.Call, done gateway.Done) {
	var frames [200]uintptr
	d.maxDepth = max(d.maxDepth, runtime.Callers(0, frames[:]))
	d.fakeService.Do(c, done)
}

// A reply that comes while the call is made must not start the next call deeper on the stack, nor get lost.
func TestInlineRepliesDoNotGrowStack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, limits := &stackService{fakeService: fakeService{latency: time.Second}}, &messages.Limits{Concurrency: 1}
		g := newGuard(t, s, limits, downstream.Config{})
		defer g.Close()
		var r results
		for range 100_000 {
			g.Do(call("o-1", limits, messages.Do), r.add)
			s.setLatency(0)
		}
		time.Sleep(2 * time.Second)
		if ok := r.count(succeeded); ok != 100_000 {
			t.Errorf("%d of 100000 done", ok)
		}
		if s.maxDepth > 50 {
			t.Errorf("a call was made %d frames deep", s.maxDepth)
		}
	})
}

func TestWaitingCallsAreDeferredWhenCircuitOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, limits := &fakeService{latency: time.Second, err: errUnreachable}, &messages.Limits{Concurrency: 5, Rate: 200}
		g := newGuard(t, s, limits, downstream.Config{})
		defer g.Close()
		var r results
		for i := range 2000 {
			g.Do(call(fmt.Sprintf("o-%d", i), limits, messages.Do), r.add)
		}
		// Five calls fail each second; the first failure after three seconds opens the circuit.
		time.Sleep(3500 * time.Millisecond)
		if off, bad := r.count(deferred), r.count(failed); off != 1989 || bad != 11 {
			t.Errorf("%d deferred and %d failed, want 1989 and 11", off, bad)
		}
		// Their reservations in the rate limit are free again.
		s.setError(nil)
		time.Sleep(time.Second)
		var again results
		g.Do(call("o-1", limits, messages.Do), again.add)
		time.Sleep(2 * time.Second)
		if again.count(succeeded) != 1 {
			t.Errorf("trial: %+v", again.all)
		}
	})
}

func TestInProcessStepsAreGuardedByLimitsOnly(t *testing.T) {
	s := &fakeService{err: errTimeout}
	g := newGuard(t, s, nil, downstream.Config{})
	defer g.Close()
	plain := call("o-1", nil, messages.Do)
	plain.Step = &messages.Step{Name: "x", Do: "sim:", Limits: &messages.Limits{}}
	limited := call("o-1", nil, messages.Do)
	limited.Step = &messages.Step{Name: "y", Do: "sim:?latency=1ms", Limits: &messages.Limits{Concurrency: 1}}
	s.setError(errUnreachable)
	for range 5 {
		callAndWait(t, g, plain)
		callAndWait(t, g, limited)
	}
	if r := callAndWait(t, g, plain); deferred(r) {
		t.Errorf("a step in process without limits: %+v", r)
	}
	if r := callAndWait(t, g, limited); !deferred(r) {
		t.Errorf("a step in process with limits: %+v", r)
	}
}

func TestDroppedCallIsNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, limits := &fakeService{latency: time.Second}, &messages.Limits{Concurrency: 1}
		g := newGuard(t, s, limits, downstream.Config{})
		defer g.Close()
		var first, second, third results
		g.Do(call("o-1", limits, messages.Do), first.add)
		waits := call("o-2", limits, messages.Do)
		g.Do(waits, second.add)
		g.Do(call("o-3", limits, messages.Do), third.add)
		waits.Drop()
		time.Sleep(3 * time.Second)
		if calls, _, _ := s.counts(); calls != 2 || first.count(succeeded) != 1 || third.count(succeeded) != 1 {
			t.Errorf("%d calls, %d and %d of the other two done", calls, first.count(succeeded), third.count(succeeded))
		}
		if second.count(failed) != 1 {
			t.Errorf("%+v, want one end of the dropped call", second.list())
		}
	})
}

func TestCloseFailsWaitingCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, limits := &fakeService{latency: time.Second}, &messages.Limits{Concurrency: 1}
		g := newGuard(t, s, limits, downstream.Config{})
		var r results
		for range 10 {
			g.Do(call("o-1", limits, messages.Do), r.add)
		}
		g.Close()
		g.Do(call("o-1", limits, messages.Do), r.add)
		late := call("o-1", limits, messages.Do)
		late.Step = &messages.Step{Name: "x", Do: "nats://late.born"}
		g.Do(late, r.add)
		time.Sleep(time.Minute)
		closed := r.count(func(one result) bool { return errors.Is(one.err, gateway.ErrClosed) && one.deferral() == nil })
		if closed != 11 || r.count(succeeded) != 1 {
			t.Errorf("%d failed as closed, %d done, want 11 and the one in flight", closed, r.count(succeeded))
		}
	})
}
