package downstream_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderly-engine/orderly/actors/downstream"
	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// openCircuit fails the calls of five orders within three seconds.
func openCircuit(t testing.TB, g *downstream.Guard, s *fakeService, err error) {
	t.Helper()
	s.setError(err)
	for i := range 5 {
		if i > 0 {
			time.Sleep(750 * time.Millisecond)
		}
		if r := callStep(t, g, fmt.Sprintf("first-%d", i), nil); !failed(r) {
			t.Fatalf("call %d: %+v, want a failure", i, r)
		}
	}
}

func TestNoCallWhileOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeService{}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		openCircuit(t, g, s, errTimeout)
		for range 100 {
			r := callStep(t, g, "o-1", nil)
			d := r.deferral()
			if d == nil {
				t.Fatalf("%+v, want a deferral", r)
			}
			if wait := time.Until(d.Until); wait < 500*time.Millisecond || wait > 3*time.Second {
				t.Errorf("parked for %s", wait)
			}
			if want := "stock is unavailable (circuit open): nats://stock.take did not answer within 2s"; d.Reason != want {
				t.Errorf("reason %q, want %q", d.Reason, want)
			}
		}
		if r := callAndWait(t, g, call("o-2", nil, messages.Undo)); !deferred(r) {
			t.Errorf("the undo at the same downstream: %+v, want a deferral", r)
		}
		if n, _, _ := s.counts(); n != 5 {
			t.Errorf("%d calls were made, want the 5 that opened the circuit", n)
		}
	})
}

// Each reply, also a rejection, resets the no-reply detector.
func TestReplyResetsNoReplyDetector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeService{reply: &messages.StepReply{Result: &messages.StepReply_Rejected{Rejected: &messages.StepRefused{Code: "no"}}}}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		for i := range 40 {
			s.setError(errUnreachable)
			if i%5 == 4 {
				s.setError(nil)
			}
			if r := callStep(t, g, fmt.Sprintf("o-%d", i), nil); deferred(r) {
				t.Fatalf("call %d was deferred", i)
			}
			time.Sleep(time.Second)
		}
	})
}

func TestOneFailingOrderOpensOnlyIfUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeService{}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		callStep(t, g, "o-0", nil)
		s.setError(errTimeout)
		for range 100 {
			if r := callStep(t, g, "o-1", nil); !failed(r) {
				t.Fatalf("%+v: a single failing order must spend its own attempts", r)
			}
			time.Sleep(time.Second)
		}
		s.setError(errUnreachable)
		for i := range 4 {
			if r := callStep(t, g, "o-1", nil); !failed(r) {
				t.Fatalf("call %d: %+v", i, r)
			}
		}
		if r := callStep(t, g, "o-1", nil); !deferred(r) {
			t.Errorf("%+v: want a deferral: nothing listens", r)
		}
	})
}

func TestPoisonIsNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeService{}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		s.setError(errInvalid)
		for i := range 20 {
			if r := callStep(t, g, fmt.Sprintf("o-%d", i), nil); !failed(r) {
				t.Fatalf("%+v", r)
			}
		}
		// Nor does the no-reply detector count it.
		s.setError(nil)
		callStep(t, g, "o-0", nil)
		for i := range 25 {
			s.setError(errInvalid)
			if i >= 20 {
				s.setError(errTimeout)
			}
			if r := callStep(t, g, fmt.Sprintf("o-%d", i), nil); !failed(r) {
				t.Fatalf("%+v", r)
			}
		}
		if r := callStep(t, g, "o-25", nil); !failed(r) {
			t.Fatalf("%+v after five failures of six calls that reached the service", r)
		}
		s.setError(nil)
		callStep(t, g, "o-0", nil)
		// As a trial it frees its permit, changes no state and fails as usual.
		openCircuit(t, g, s, errUnreachable)
		s.setError(errInvalid)
		time.Sleep(20 * time.Second)
		for i := range 10 {
			if r := callStep(t, g, fmt.Sprintf("o-%d", i), nil); !failed(r) {
				t.Fatalf("%+v", r)
			}
		}
		s.setError(nil)
		for range 4 {
			if r := callStep(t, g, "o-1", nil); !succeeded(r) {
				t.Fatalf("%+v, want a trial that succeeds", r)
			}
		}
	})
}

func TestTrialsAreFewAndSpendNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeService{}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		openCircuit(t, g, s, errUnreachable)
		s.setLatency(100 * time.Millisecond)
		var r results
		// Ten minutes at 100 calls per second.
		for i := range 10 * 60 * 100 {
			g.Do(call(fmt.Sprintf("o-%d", i), nil, messages.Do), r.add)
			time.Sleep(10 * time.Millisecond)
		}
		if n := r.count(failed); n > 0 {
			t.Errorf("%d calls spent an attempt, want none", n)
		}
		// The delay grows to 5–10 s: 60 to 100 rounds of at most 3 trials.
		if n, _, _ := s.counts(); n < 40 || n > 5+3*100 {
			t.Errorf("%d calls in ten minutes", n)
		}
	})
}

func TestClosesAfterThreeSuccesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeService{}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		openCircuit(t, g, s, errUnreachable)
		time.Sleep(time.Second)
		s.setError(nil)
		s.setLatency(10 * time.Millisecond)
		var r results
		for range 10 {
			g.Do(call("o-1", nil, messages.Do), r.add)
		}
		time.Sleep(20 * time.Millisecond)
		if ok, off := r.count(succeeded), r.count(deferred); ok != 3 || off != 7 {
			t.Fatalf("%d done and %d deferred, want 3 trials and no more", ok, off)
		}
		for range 3 {
			g.Do(call("o-1", nil, messages.Do), r.add)
			time.Sleep(200 * time.Millisecond)
		}
		if ok := r.count(succeeded); ok != 6 {
			t.Errorf("%d done, want 6: the circuit is closed", ok)
		}
	})
}

// Only the calls of a circuit that is not closed are trials.
func TestTrialsAreMarked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeService{}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		openCircuit(t, g, s, errUnreachable)
		time.Sleep(2 * time.Second)
		s.setError(nil)
		for i := range 6 {
			time.Sleep(200 * time.Millisecond) // slow start
			c := call("o-1", nil, messages.Do)
			if r := callAndWait(t, g, c); !succeeded(r) || c.Trial != (i < 3) {
				t.Errorf("call %d: %+v, a trial: %v", i, r, c.Trial)
			}
		}
	})
}

// A call made before the circuit opened does not count as a trial when it ends later; its failure is a deferral.
func TestLateFailuresDoNotCountAsTrials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeService{latency: 6 * time.Second, err: errTimeout}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		var late results
		for i := range 20 {
			g.Do(call(fmt.Sprintf("late-%d", i), nil, messages.Do), late.add)
		}
		s.setLatency(0)
		openCircuit(t, g, s, errUnreachable)
		time.Sleep(2 * time.Second)
		s.setError(nil)
		for range 2 {
			if r := callStep(t, g, "o-1", nil); !succeeded(r) {
				t.Fatalf("trial: %+v", r)
			}
		}
		time.Sleep(time.Second + time.Millisecond)
		if n := late.count(deferred); n != 20 {
			t.Errorf("%d of 20 late failures are deferrals", n)
		}
		if r := callStep(t, g, "o-1", nil); !succeeded(r) {
			t.Errorf("the third trial: %+v", r)
		}
		if r := callStep(t, g, "o-1", nil); !succeeded(r) {
			t.Errorf("after three successes: %+v", r)
		}
	})
}

func TestRetryAfterIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeService{}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		openCircuit(t, g, s, &delivery.Failure{Kind: messages.Transient, RetryAfter: 30 * time.Second, Err: errTimeout.Err})
		if d := callStep(t, g, "o-1", nil).deferral(); time.Until(d.Until) < 30*time.Second {
			t.Errorf("parked for %s, the downstream asked for 30s", time.Until(d.Until))
		}
		time.Sleep(29 * time.Second)
		if r := callStep(t, g, "o-1", nil); !deferred(r) {
			t.Errorf("%+v after 29s", r)
		}
	})
}

// Parks get longer with the outage, so an order parks about 200 times a day at most; returns are at most 500 per second.
func TestParkDelaysInLongOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeService{}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		openCircuit(t, g, s, errUnreachable)
		began, cycles := time.Now(), 0
		for age := time.Duration(0); age < 24*time.Hour; age = time.Since(began) {
			d := callStep(t, g, "o-1", nil).deferral()
			if wait := time.Until(d.Until); wait > max(time.Minute, min(age/10, 30*time.Minute)+10*time.Second) {
				t.Fatalf("parked for %s after %s", wait, age)
			}
			time.Sleep(time.Until(d.Until))
			cycles++
		}
		if cycles > 220 {
			t.Errorf("%d parks in a day", cycles)
		}
		perSecond := map[int64]int{}
		for i := range 100_000 {
			d := callStep(t, g, fmt.Sprintf("o-%d", i), nil).deferral()
			if d == nil {
				continue // a trial
			}
			perSecond[d.Until.Unix()]++
		}
		for at, n := range perSecond {
			if n > 700 {
				t.Errorf("%d orders return in second %d of the park", n, at-time.Now().Unix())
			}
		}
	})
}

func TestSecondOutageStartsWithShortDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeService{}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		openCircuit(t, g, s, errUnreachable)
		for range 600 {
			time.Sleep(time.Second)
			callStep(t, g, "o-1", nil)
		}
		s.setError(nil)
		time.Sleep(10 * time.Second)
		for range 180 {
			time.Sleep(time.Second)
			callStep(t, g, "o-1", nil)
		}
		openCircuit(t, g, s, errUnreachable)
		if wait := time.Until(callStep(t, g, "o-1", nil).deferral().Until); wait > 3*time.Second {
			t.Errorf("parked for %s at the beginning of an outage", wait)
		}
	})
}

func TestHTTPServicesAreSeparate(t *testing.T) {
	s := &fakeService{}
	g := newGuard(t, s, nil, downstream.Config{})
	defer g.Close()
	step := func(url string) *gateway.Call {
		c := call("o-1", nil, messages.Do)
		c.Step = &messages.Step{Name: "x", Do: url}
		return c
	}
	s.setError(errUnreachable)
	for range 5 {
		callAndWait(t, g, step("http://a.example/one?key=secret"))
	}
	r := callAndWait(t, g, step("http://a.example/two"))
	if !deferred(r) || strings.Contains(r.deferral().Reason, "secret") || !strings.HasPrefix(r.deferral().Reason, "http://a.example is unavailable") {
		t.Errorf("another path of the host: %+v %+v", r, r.deferral())
	}
	for _, other := range []string{"http://b.example/one", "https://a.example/one", "nats://stock.take"} {
		if r := callAndWait(t, g, step(other)); !failed(r) {
			t.Errorf("%s: %+v, want a call", other, r)
		}
	}
}
