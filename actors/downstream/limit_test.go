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
		s, limits := &service{latency: time.Second}, &messages.Limits{Concurrency: 4}
		g := newGuard(t, s, limits, downstream.Config{Hold: 5 * time.Second})
		defer g.Close()
		var r results
		began := time.Now()
		for range 40 {
			g.Do(call("o-1", limits, messages.Do), r.take)
		}
		time.Sleep(time.Minute)
		if _, _, most := s.counts(); most != 4 {
			t.Errorf("%d calls at once, want 4", most)
		}
		// After five seconds 20 calls have ended and four more have just begun; what waits then is put off.
		if ok, off := r.count(done), r.count(putOff); ok < 20 || ok > 24 || ok+off != 40 {
			t.Errorf("%d done and %d put off", ok, off)
		}
		for i, at := range s.starts() {
			if want := time.Duration(i/4) * time.Second; at.Sub(began) != want {
				t.Errorf("call %d began after %s, want %s", i, at.Sub(began), want)
			}
		}
		for _, one := range r.soFar() {
			if d := one.deferral(); d != nil {
				if d.Reason != "stock has no room (4 calls under way)" {
					t.Fatalf("reason %q", d.Reason)
				}
				if wait := d.Until.Sub(one.at); wait < 5*time.Second || wait > time.Minute+5*time.Second {
					t.Fatalf("put off for %s", wait)
				}
			}
		}
	})
}

func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, limits := &service{latency: 10 * time.Millisecond}, &messages.Limits{Rate: 100}
		g := newGuard(t, s, limits, downstream.Config{Hold: 3 * time.Second})
		defer g.Close()
		var r results
		for range 1000 {
			g.Do(call("o-1", limits, messages.Do), r.take)
		}
		if off := r.count(putOff); off < 690 || off > 700 {
			t.Errorf("%d put off at once, want those beyond 3 seconds of 100 calls", off)
		}
		for range 3 {
			time.Sleep(time.Second)
			if n := s.called(time.Second); n < 98 || n > 102 {
				t.Errorf("%d calls in a second, want 100", n)
			}
		}
		time.Sleep(time.Second)
		if n := s.called(time.Second); n > 2 {
			t.Errorf("%d calls after all have ended", n)
		}
		// The places of those put off follow each other at the rate.
		last := time.Time{}
		for _, one := range r.soFar() {
			if d := one.deferral(); d != nil {
				if d.Until.Before(last) {
					t.Fatalf("a later call gets an earlier place")
				}
				last = d.Until
			}
		}
		if span := last.Sub(r.soFar()[0].deferral().Until); span < 6*time.Second || span > 8*time.Second {
			t.Errorf("700 orders come back within %s, want 7s", span)
		}
	})
}

// The node's own plan says the limits, also for orders under an older one.
func TestLimitsAreTheNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{latency: time.Second}
		g := newGuard(t, s, &messages.Limits{Concurrency: 2}, downstream.Config{})
		defer g.Close()
		var r results
		for range 10 {
			g.Do(call("o-1", &messages.Limits{Concurrency: 8}, messages.Do), r.take)
		}
		synctest.Wait()
		if _, under, _ := s.counts(); under != 2 {
			t.Errorf("%d calls at once, want 2", under)
		}
		time.Sleep(time.Minute)
	})
}

// A downstream has the limits of the step whose do calls it, whichever step comes first.
func TestLimitsBelongToTheDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{latency: time.Second}
		g, err := downstream.New(s, &messages.Plan{Steps: []*messages.Step{
			{Name: "a", Do: "nats://one.do", Undo: "nats://two.undo", Limits: &messages.Limits{Concurrency: 2}},
			{Name: "b", Do: "nats://two.do", Limits: &messages.Limits{Concurrency: 7}},
		}}, downstream.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		var r results
		for range 10 {
			c := call("o-1", nil, messages.Undo)
			c.Step = &messages.Step{Name: "a", Do: "nats://one.do", Undo: "nats://two.undo"}
			g.Do(c, r.take)
		}
		synctest.Wait()
		if _, under, _ := s.counts(); under != 7 {
			t.Errorf("%d calls at once, want 7", under)
		}
		time.Sleep(time.Minute)
	})
}

// deep is steps that note how deep on the stack they are called.
type deep struct {
	service
	most int
}

func (d *deep) Do(c *gateway.Call, done gateway.Done) {
	var frames [200]uintptr
	d.most = max(d.most, runtime.Callers(0, frames[:]))
	d.service.Do(c, done)
}

// Answers that come while the call is made must not pile up on the stack, nor be lost.
func TestManyWaitForAnswersThatComeAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, limits := &deep{service: service{latency: time.Second}}, &messages.Limits{Concurrency: 1}
		g := newGuard(t, s, limits, downstream.Config{})
		defer g.Close()
		var r results
		for range 100_000 {
			g.Do(call("o-1", limits, messages.Do), r.take)
			s.takes(0)
		}
		time.Sleep(2 * time.Second)
		if ok := r.count(done); ok != 100_000 {
			t.Errorf("%d of 100000 done", ok)
		}
		if s.most > 50 {
			t.Errorf("a call was made %d frames deep", s.most)
		}
	})
}

func TestWhatWaitsIsPutOffWhenTheCircuitOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, limits := &service{latency: time.Second, err: errAway}, &messages.Limits{Concurrency: 5, Rate: 200}
		g := newGuard(t, s, limits, downstream.Config{})
		defer g.Close()
		var r results
		for i := range 2000 {
			g.Do(call(fmt.Sprintf("o-%d", i), limits, messages.Do), r.take)
		}
		// Five fail each second; three seconds are an outage, and the first failure then tells.
		time.Sleep(3500 * time.Millisecond)
		if off, bad := r.count(putOff), r.count(failed); off != 1989 || bad != 11 {
			t.Errorf("%d put off and %d failed, want 1989 and 11", off, bad)
		}
		// The places they had in the row of the rate limit are free again.
		s.becomes(nil)
		time.Sleep(time.Second)
		var again results
		g.Do(call("o-1", limits, messages.Do), again.take)
		time.Sleep(2 * time.Second)
		if again.count(done) != 1 {
			t.Errorf("trial: %+v", again.all)
		}
	})
}

func TestInProcessStepsAreGuardedByLimitsOnly(t *testing.T) {
	s := &service{err: errSilent}
	g := newGuard(t, s, nil, downstream.Config{})
	defer g.Close()
	plain := call("o-1", nil, messages.Do)
	plain.Step = &messages.Step{Name: "x", Do: "sim:", Limits: &messages.Limits{}}
	limited := call("o-1", nil, messages.Do)
	limited.Step = &messages.Step{Name: "y", Do: "sim:?latency=1ms", Limits: &messages.Limits{Concurrency: 1}}
	s.becomes(errAway)
	for range 5 {
		askFor(t, g, plain)
		askFor(t, g, limited)
	}
	if r := askFor(t, g, plain); putOff(r) {
		t.Errorf("a step in process without limits: %+v", r)
	}
	if r := askFor(t, g, limited); !putOff(r) {
		t.Errorf("a step in process with limits: %+v", r)
	}
}

func TestDroppedCallIsNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, limits := &service{latency: time.Second}, &messages.Limits{Concurrency: 1}
		g := newGuard(t, s, limits, downstream.Config{})
		defer g.Close()
		var first, second, third results
		g.Do(call("o-1", limits, messages.Do), first.take)
		waits := call("o-2", limits, messages.Do)
		g.Do(waits, second.take)
		g.Do(call("o-3", limits, messages.Do), third.take)
		waits.Drop()
		time.Sleep(3 * time.Second)
		if calls, _, _ := s.counts(); calls != 2 || first.count(done) != 1 || third.count(done) != 1 {
			t.Errorf("%d calls, %d and %d of the two that were wanted done", calls, first.count(done), third.count(done))
		}
		if second.count(failed) != 1 {
			t.Errorf("%+v, want an end also of the call that was dropped", second.soFar())
		}
	})
}

func TestCloseFailsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, limits := &service{latency: time.Second}, &messages.Limits{Concurrency: 1}
		g := newGuard(t, s, limits, downstream.Config{})
		var r results
		for range 10 {
			g.Do(call("o-1", limits, messages.Do), r.take)
		}
		g.Close()
		g.Do(call("o-1", limits, messages.Do), r.take)
		late := call("o-1", limits, messages.Do)
		late.Step = &messages.Step{Name: "x", Do: "nats://late.born"}
		g.Do(late, r.take)
		time.Sleep(time.Minute)
		closed := r.count(func(one result) bool { return errors.Is(one.err, gateway.ErrClosed) && one.deferral() == nil })
		if closed != 11 || r.count(done) != 1 {
			t.Errorf("%d failed as closed, %d done, want 11 and the one under way", closed, r.count(done))
		}
	})
}
