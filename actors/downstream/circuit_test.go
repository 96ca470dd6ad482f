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

// open makes as many orders fail, for as long, as open the circuit.
func open(t testing.TB, g *downstream.Guard, s *service, err error) {
	t.Helper()
	s.becomes(err)
	for i := range 5 {
		if i > 0 {
			time.Sleep(750 * time.Millisecond)
		}
		if r := ask(t, g, fmt.Sprintf("first-%d", i), nil); !failed(r) {
			t.Fatalf("call %d: %+v, want a failure that counts", i, r)
		}
	}
}

func TestNoCallWhileOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		open(t, g, s, errSilent)
		for range 100 {
			r := ask(t, g, "o-1", nil)
			d := r.deferral()
			if d == nil {
				t.Fatalf("%+v, want a deferral", r)
			}
			if wait := time.Until(d.Until); wait < 500*time.Millisecond || wait > 3*time.Second {
				t.Errorf("parked for %s", wait)
			}
			if want := "stock is out (circuit open): nats://stock.take did not answer within 2s"; d.Reason != want {
				t.Errorf("reason %q, want %q", d.Reason, want)
			}
		}
		if r := askFor(t, g, call("o-2", nil, messages.Undo)); !putOff(r) {
			t.Errorf("the undo at the same downstream: %+v, want a deferral", r)
		}
		if n, _, _ := s.counts(); n != 5 {
			t.Errorf("%d calls were made, want the 5 that opened the circuit", n)
		}
	})
}

// A success in between, a rejection included, begins the row anew.
func TestAnAnswerEndsTheRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{reply: &messages.StepReply{Result: &messages.StepReply_Rejected{Rejected: &messages.StepRefused{Code: "no"}}}}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		for i := range 40 {
			s.becomes(errAway)
			if i%5 == 4 {
				s.becomes(nil)
			}
			if r := ask(t, g, fmt.Sprintf("o-%d", i), nil); putOff(r) {
				t.Fatalf("call %d was put off", i)
			}
			time.Sleep(time.Second)
		}
	})
}

func TestOneOrderAloneIsNoOutageUnlessNobodyListens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		ask(t, g, "o-0", nil)
		s.becomes(errSilent)
		for range 100 {
			if r := ask(t, g, "o-1", nil); !failed(r) {
				t.Fatalf("%+v: a failing order alone must spend its own budget", r)
			}
			time.Sleep(time.Second)
		}
		s.becomes(errAway)
		for i := range 4 {
			if r := ask(t, g, "o-1", nil); !failed(r) {
				t.Fatalf("call %d: %+v", i, r)
			}
		}
		if r := ask(t, g, "o-1", nil); !putOff(r) {
			t.Errorf("%+v: nobody listens, that is an outage", r)
		}
	})
}

func TestPoisonSaysNothingAboutTheDownstream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		s.becomes(errInvalid)
		for i := range 20 {
			if r := ask(t, g, fmt.Sprintf("o-%d", i), nil); !failed(r) {
				t.Fatalf("%+v", r)
			}
		}
		// Nor does it make a silence of a few failures.
		s.becomes(nil)
		ask(t, g, "o-0", nil)
		for i := range 25 {
			s.becomes(errInvalid)
			if i >= 20 {
				s.becomes(errSilent)
			}
			if r := ask(t, g, fmt.Sprintf("o-%d", i), nil); !failed(r) {
				t.Fatalf("%+v", r)
			}
		}
		if r := ask(t, g, "o-25", nil); !failed(r) {
			t.Fatalf("%+v after five failures of six calls that got there", r)
		}
		s.becomes(nil)
		ask(t, g, "o-0", nil)
		// As a trial it does not get stuck, closes nothing, keeps nothing open and fails by itself.
		open(t, g, s, errAway)
		s.becomes(errInvalid)
		time.Sleep(20 * time.Second)
		for i := range 10 {
			if r := ask(t, g, fmt.Sprintf("o-%d", i), nil); !failed(r) {
				t.Fatalf("%+v", r)
			}
		}
		s.becomes(nil)
		for range 4 {
			if r := ask(t, g, "o-1", nil); !done(r) {
				t.Fatalf("%+v, want a trial that succeeds", r)
			}
		}
	})
}

func TestFewTrialsAndTheyCountForNoOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		open(t, g, s, errAway)
		s.takes(100 * time.Millisecond)
		var r results
		// Ten minutes of a hundred calls a second.
		for i := range 10 * 60 * 100 {
			g.Do(call(fmt.Sprintf("o-%d", i), nil, messages.Do), r.take)
			time.Sleep(10 * time.Millisecond)
		}
		if n := r.count(failed); n > 0 {
			t.Errorf("%d failures count for the order, want none", n)
		}
		// The delay grows to 15 seconds, less half of it at random: 40 to 80 times, 3 trials each at most.
		if n, _, _ := s.counts(); n < 40 || n > 5+3*100 {
			t.Errorf("%d calls in ten minutes", n)
		}
	})
}

func TestClosesAfterThreeSuccesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		open(t, g, s, errAway)
		time.Sleep(time.Second)
		s.becomes(nil)
		s.takes(10 * time.Millisecond)
		var r results
		for range 10 {
			g.Do(call("o-1", nil, messages.Do), r.take)
		}
		time.Sleep(20 * time.Millisecond)
		if ok, off := r.count(done), r.count(putOff); ok != 3 || off != 7 {
			t.Fatalf("%d done and %d put off, want 3 trials and no more", ok, off)
		}
		for range 3 {
			g.Do(call("o-1", nil, messages.Do), r.take)
			time.Sleep(200 * time.Millisecond)
		}
		if ok := r.count(done); ok != 6 {
			t.Errorf("%d done, want 6: the circuit is closed", ok)
		}
	})
}

// What was called before the circuit opened has no say when it ends later, and its failure is an outage to its order.
func TestLateFailuresDoNotSpoilTheTrials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{latency: 6 * time.Second, err: errSilent}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		var late results
		for i := range 20 {
			g.Do(call(fmt.Sprintf("late-%d", i), nil, messages.Do), late.take)
		}
		s.takes(0)
		open(t, g, s, errAway)
		time.Sleep(2 * time.Second)
		s.becomes(nil)
		for range 2 {
			if r := ask(t, g, "o-1", nil); !done(r) {
				t.Fatalf("trial: %+v", r)
			}
		}
		time.Sleep(time.Second + time.Millisecond)
		if n := late.count(putOff); n != 20 {
			t.Errorf("%d of 20 late failures are an outage to their orders", n)
		}
		if r := ask(t, g, "o-1", nil); !done(r) {
			t.Errorf("the third trial: %+v", r)
		}
		if r := ask(t, g, "o-1", nil); !done(r) {
			t.Errorf("after three successes: %+v", r)
		}
	})
}

func TestRetryAfterIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		open(t, g, s, &delivery.Failure{Kind: messages.Transient, RetryAfter: 30 * time.Second, Err: errSilent.Err})
		if d := ask(t, g, "o-1", nil).deferral(); time.Until(d.Until) < 30*time.Second {
			t.Errorf("parked for %s, the downstream asked for 30s", time.Until(d.Until))
		}
		time.Sleep(29 * time.Second)
		if r := ask(t, g, "o-1", nil); !putOff(r) {
			t.Errorf("%+v after 29s", r)
		}
	})
}

// Parks grow with the outage, so that an order's history does not grow with it for long; many orders get places apart.
func TestParksOfALongOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		open(t, g, s, errAway)
		began, cycles := time.Now(), 0
		for age := time.Duration(0); age < 24*time.Hour; age = time.Since(began) {
			d := ask(t, g, "o-1", nil).deferral()
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
			d := ask(t, g, fmt.Sprintf("o-%d", i), nil).deferral()
			if d == nil {
				continue // a trial
			}
			perSecond[d.Until.Unix()]++
		}
		for at, n := range perSecond {
			if n > 700 {
				t.Errorf("%d orders come back in second %d of the park", n, at-time.Now().Unix())
			}
		}
	})
}

func TestAnotherOutageBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		open(t, g, s, errAway)
		for range 600 {
			time.Sleep(time.Second)
			ask(t, g, "o-1", nil)
		}
		s.becomes(nil)
		time.Sleep(10 * time.Second)
		for range 180 {
			time.Sleep(time.Second)
			ask(t, g, "o-1", nil)
		}
		open(t, g, s, errAway)
		if wait := time.Until(ask(t, g, "o-1", nil).deferral().Until); wait > 3*time.Second {
			t.Errorf("parked for %s at the beginning of an outage", wait)
		}
	})
}

func TestHTTPServicesAreToldApart(t *testing.T) {
	s := &service{}
	g := newGuard(t, s, nil, downstream.Config{})
	defer g.Close()
	step := func(url string) *gateway.Call {
		c := call("o-1", nil, messages.Do)
		c.Step = &messages.Step{Name: "x", Do: url}
		return c
	}
	s.becomes(errAway)
	for range 5 {
		askFor(t, g, step("http://a.example/one?key=secret"))
	}
	r := askFor(t, g, step("http://a.example/two"))
	if !putOff(r) || strings.Contains(r.deferral().Reason, "secret") || !strings.HasPrefix(r.deferral().Reason, "http://a.example is out") {
		t.Errorf("another path of the host: %+v %+v", r, r.deferral())
	}
	for _, other := range []string{"http://b.example/one", "https://a.example/one", "nats://stock.take"} {
		if r := askFor(t, g, step(other)); !failed(r) {
			t.Errorf("%s: %+v, want a call", other, r)
		}
	}
}
