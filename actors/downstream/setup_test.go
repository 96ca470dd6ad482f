package downstream_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderly-engine/orderly/actors/downstream"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

var (
	errUnauthorized = &delivery.Failure{Kind: messages.Setup, Code: "401", Err: errors.New("answered 401 Unauthorized: the token has expired")}
	errNotFound     = &delivery.Failure{Kind: messages.Setup, Code: "404", Err: errors.New("answered 404 Not Found: no such route")}
	errUnreadable   = &delivery.Failure{Kind: messages.Unreadable, Err: errors.New("the answer cannot be read: " + strings.Repeat("x", 100<<10))}
	errRefused      = &delivery.Failure{Kind: messages.Rejected, Code: "402", Err: errors.New("answered 402 Payment Required")}
	errTooLarge     = &delivery.Failure{Kind: messages.Unreadable, Done: true, Err: errors.New("the data are too large")}
)

// planOrders are orders with a number of attempts, as the core drives them: a deferral spends none of them.
type planOrders struct {
	guard    *downstream.Guard
	attempts int

	mu                     sync.Mutex
	done, attention, parks int
	spent                  int
	reason                 string // of the first park
}

func (p *planOrders) start(id string) { p.call(id, 1) }

func (p *planOrders) call(id string, attempt int) {
	p.guard.Do(call(id, nil, messages.Do), func(reply *messages.StepReply, err error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		r := result{time.Now(), reply, err}
		switch d := r.deferral(); {
		case d != nil:
			p.parks++
			p.reason = cmp.Or(p.reason, d.Reason)
			time.AfterFunc(time.Until(d.Until), func() { p.call(id, attempt) })
		case err == nil:
			p.done++
		default:
			p.spent++
			if attempt == p.attempts {
				p.attention++
				return
			}
			time.AfterFunc(min(100*time.Millisecond<<(attempt-1), 30*time.Second), func() { p.call(id, attempt+1) })
		}
	})
}

func (p *planOrders) counts() (done, attention, parks, spent int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done, p.attention, p.parks, p.spent
}

// A wrong path or an expired token spends no attempt of any order, even if it has a single one, and all orders go on by
// themselves once it is mended. The calls in between are few.
func TestSetupFaultSpendsNoAttempt(t *testing.T) {
	for name, c := range map[string]struct {
		orders  int
		replied bool // the service has replied to orders before
		latency time.Duration
		lasts   time.Duration
		calls   int // at most
	}{
		"one order":                  {orders: 1, lasts: 10 * time.Minute, calls: 60},
		"one order, known service":   {orders: 1, replied: true, lasts: 10 * time.Minute, calls: 60},
		"200 orders":                 {orders: 200, latency: 20 * time.Millisecond, lasts: time.Minute, calls: 150},
		"200 orders, known service":  {orders: 200, replied: true, latency: 20 * time.Millisecond, lasts: time.Minute, calls: 300},
		"200 orders, short":          {orders: 200, latency: 20 * time.Millisecond, lasts: 2 * time.Second, calls: 250},
		"200 orders, answer at once": {orders: 200, lasts: time.Minute, calls: 90},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &fakeService{latency: c.latency}
				g := newGuard(t, s, nil, downstream.Config{})
				defer g.Close()
				if c.replied {
					var before results
					callAtRate(g, &before, "before", 20, 5*time.Second)
				}
				called, _, _ := s.counts()
				s.setError(errUnauthorized)
				p := &planOrders{guard: g, attempts: 1}
				for i := range c.orders {
					p.start(fmt.Sprintf("o-%d", i))
					time.Sleep(2 * time.Millisecond)
				}
				time.Sleep(c.lasts)
				calls, _, _ := s.counts()
				if done, attention, _, _ := p.counts(); done+attention > 0 {
					t.Errorf("%d done and %d in attention, want all to wait", done, attention)
				}
				s.setError(nil)
				time.Sleep(2 * time.Minute)
				done, attention, parks, spent := p.counts()
				t.Logf("%d calls while at fault, %d parks", calls-called, parks)
				if done != c.orders || attention+spent > 0 {
					t.Errorf("%d of %d done, %d in attention, %d attempts spent", done, c.orders, attention, spent)
				}
				if calls-called > c.calls {
					t.Errorf("%d calls while at fault, want at most %d", calls-called, c.calls)
				}
				if want := "stock is unavailable (fault of the set-up): answered 401 Unauthorized: the token has expired"; p.reason != want {
					t.Errorf("parked for %q, want %q", p.reason, want)
				}
			})
		})
	}
}

// An order that alone gets such an answer, from a service that replies to others, ends in attention and costs no other order
// anything.
func TestOrderAloneWithSetupFault(t *testing.T) {
	for name, c := range map[string]struct {
		every  time.Duration // between the calls of others
		within time.Duration
		parks  int // of others, at most
	}{
		"busy":  {20 * time.Millisecond, 3 * time.Minute, 0},
		"quiet": {2 * time.Second, 5 * time.Minute, 0},
		"rare":  {20 * time.Second, 4 * time.Hour, 150},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &flakyService{refuses: failOrder("bad", errNotFound), replyTime: fixed(10 * time.Millisecond), refusalTime: fixed(5 * time.Millisecond)}
				g := newGuard(t, s, nil, downstream.Config{})
				defer g.Close()
				bad, others := &planOrders{guard: g, attempts: 10}, &planOrders{guard: g, attempts: 1}
				others.start("before")
				time.Sleep(time.Second)
				began, n := time.Now(), 1
				bad.start("bad")
				for ; time.Since(began) < c.within && bad.inAttention() == 0; n++ {
					time.Sleep(c.every)
					others.start(fmt.Sprintf("o-%d", n))
				}
				took := time.Since(began)
				time.Sleep(time.Minute)
				_, attention, badParks, spent := bad.counts()
				done, lost, parks, _ := others.counts()
				t.Logf("in attention after %s, %d parks; %d parks of others", took, badParks, parks)
				if attention != 1 || spent != 10 {
					t.Errorf("%d attempts spent within %s, want attention after 10", spent, took)
				}
				if done != n || lost > 0 || parks > c.parks {
					t.Errorf("of %d others %d are done, %d in attention, %d parks", n, done, lost, parks)
				}
			})
		})
	}
}

func (p *planOrders) inAttention() int {
	_, attention, _, _ := p.counts()
	return attention
}

// Replies to an order itself do not make it the cause: they were to other calls of it, before the fault.
func TestOwnReplyDoesNotBlameOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeService{}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		for range 3 {
			s.setError(nil)
			if r := callStep(t, g, "o-1", nil); !succeeded(r) {
				t.Fatalf("%+v", r)
			}
			s.setError(errNotFound)
			for range 2 {
				if r := callStep(t, g, "o-1", nil); !deferred(r) {
					t.Fatalf("%+v, want a deferral", r)
				}
			}
		}
		s.setError(nil)
		callStep(t, g, "o-2", nil)
		callStep(t, g, "o-3", nil)
		s.setError(errNotFound)
		if r := callStep(t, g, "o-1", nil); !failed(r) {
			t.Errorf("%+v after replies to others, want a failure", r)
		}
		// From then on others need to be replied to again.
		if r := callStep(t, g, "o-1", nil); !deferred(r) {
			t.Errorf("%+v without a reply to others in between, want a deferral", r)
		}
		// A call that succeeds ends the suspicion.
		s.setError(nil)
		callStep(t, g, "o-1", nil)
		callStep(t, g, "o-2", nil)
		s.setError(errNotFound)
		if r := callStep(t, g, "o-1", nil); !deferred(r) {
			t.Errorf("%+v at the first fault of another call, want a deferral", r)
		}
	})
}

// A second fault of the set-up, after the circuit closed and others got replies, spends no attempt of an order that met the
// first one.
func TestRelapseSpendsNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeService{}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		s.setError(errUnauthorized)
		for i := range 10 {
			if r := callStep(t, g, fmt.Sprintf("o-%d", i), nil); !deferred(r) {
				t.Fatalf("%+v", r)
			}
		}
		time.Sleep(2 * time.Second)
		s.setError(nil)
		for i := range 5 {
			time.Sleep(200 * time.Millisecond) // slow start
			if r := callStep(t, g, fmt.Sprintf("good-%d", i), nil); !succeeded(r) {
				t.Fatalf("%+v", r)
			}
		}
		s.setError(errUnauthorized)
		for i := range 4 {
			time.Sleep(200 * time.Millisecond)
			if r := callStep(t, g, fmt.Sprintf("o-%d", i), nil); !deferred(r) {
				t.Errorf("%+v, want a deferral", r)
			}
		}
	})
}

// The Guard remembers about two thousand orders.
func TestMemoryOfSetupFaultsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeService{}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		fault := func(order string) result {
			s.setError(nil)
			for i := range 3 {
				callStep(t, g, fmt.Sprintf("good-%d", i), nil)
			}
			s.setError(errNotFound)
			return callStep(t, g, order, nil)
		}
		fault("o-1")
		fault("o-2")
		for i := range 1100 {
			fault(fmt.Sprintf("other-%d", i))
		}
		if r := fault("o-1"); !failed(r) {
			t.Errorf("%+v after 1100 faults of other orders, want a failure", r)
		}
		s.setError(nil)
		callStep(t, g, "o-2", nil)
		if r := fault("o-2"); !deferred(r) {
			t.Errorf("%+v after a reply to the order, want a deferral", r)
		}
		for i := range 2100 {
			fault(fmt.Sprintf("more-%d", i))
		}
		if r := fault("o-1"); !deferred(r) {
			t.Errorf("%+v after 2100 faults of other orders, want a deferral", r)
		}
	})
}

// A fault of the set-up fails a trial.
func TestSetupFaultFailsTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeService{}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		openCircuit(t, g, s, errUnreachable)
		time.Sleep(2 * time.Second)
		s.setError(errNotFound)
		for i := range 3 {
			if r := callStep(t, g, fmt.Sprintf("o-%d", i), nil); !deferred(r) {
				t.Errorf("trial: %+v, want a deferral", r)
			}
		}
		s.setError(nil)
		if r := callStep(t, g, "o-3", nil); !deferred(r) || !strings.Contains(r.deferral().Reason, "answered 404") {
			t.Errorf("%+v, want the circuit open again by the 404", r)
		}
	})
}

// Replies that fail an order are evidence that the service lives: they pass unchanged and open no circuit, as a trial they
// close it.
func TestFailedRepliesDoNotOpen(t *testing.T) {
	undo := []string{"gone", "404"}
	for name, c := range map[string]struct {
		err       error
		direction messages.Direction
	}{
		"unreadable":      {errUnreadable, messages.Do},
		"too large":       {errTooLarge, messages.Do},
		"rejected":        {errRefused, messages.Do},
		"nothing to undo": {errNotFound, messages.Undo},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &fakeService{latency: 100 * time.Millisecond, err: c.err}
				g := newGuard(t, s, nil, downstream.Config{})
				defer g.Close()
				var r results
				reply := func(order string) {
					one := call(order, nil, c.direction)
					one.Step.NothingToUndo = undo
					g.Do(one, r.add)
				}
				for i := range 200 {
					reply(fmt.Sprintf("o-%d", i))
					time.Sleep(50 * time.Millisecond)
				}
				time.Sleep(time.Second)
				for _, one := range r.list() {
					if !errors.Is(one.err, c.err) {
						t.Fatalf("%+v, want the failure itself", one)
					}
				}
				s.setLatency(0)
				openCircuit(t, g, s, errTimeout)
				time.Sleep(2 * time.Second)
				s.setError(c.err)
				for i := range 3 {
					reply(fmt.Sprintf("trial-%d", i))
				}
				s.setError(nil)
				for i := range 3 {
					time.Sleep(200 * time.Millisecond) // slow start
					if one := callStep(t, g, fmt.Sprintf("then-%d", i), nil); !succeeded(one) {
						t.Errorf("%+v after three replies, want the circuit closed", one)
					}
				}
			})
		})
	}
}

// A status that the plan does not list, and one of a do, is a fault of the set-up.
func TestNothingToUndoIsOfThePlan(t *testing.T) {
	s := &fakeService{err: errNotFound}
	g := newGuard(t, s, nil, downstream.Config{})
	defer g.Close()
	for _, d := range []messages.Direction{messages.Do, messages.Undo} {
		one := call("o-1", nil, d)
		if one.Step.NothingToUndo = []string{"404"}; d == messages.Undo {
			one.Step.NothingToUndo = []string{"410"}
		}
		if r := callAndWait(t, g, one); !deferred(r) {
			t.Errorf("%s: %+v, want a deferral", d.Label(), r)
		}
	}
}

// A deferral after a call says whether the call may have been performed.
func TestDeferralKeepsDoubt(t *testing.T) {
	for _, doubt := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := &fakeService{err: &delivery.Failure{Kind: messages.Setup, InDoubt: doubt, Err: errors.New("stored by JetStream, not answered")}}
			g := newGuard(t, s, nil, downstream.Config{})
			defer g.Close()
			want := func(inDoubt bool, r result) {
				t.Helper()
				var f *delivery.Failure
				if !errors.As(r.err, &f) || f.Deferral == nil || f.InDoubt != inDoubt {
					t.Errorf("%+v, want a deferral in doubt: %v", r.err, inDoubt)
				}
			}
			for i := range 5 {
				want(doubt, callStep(t, g, fmt.Sprintf("o-%d", i), nil))
			}
			want(false, callStep(t, g, "o-5", nil)) // not made
			time.Sleep(2 * time.Second)
			want(doubt, callStep(t, g, "o-6", nil)) // a trial
		})
	}
}

// A Retry-After of such an answer is obeyed also while the circuit is closed.
func TestSetupFaultRetryAfter(t *testing.T) {
	s := &fakeService{err: &delivery.Failure{Kind: messages.Setup, RetryAfter: 30 * time.Second, Err: errUnauthorized.Err}}
	g := newGuard(t, s, nil, downstream.Config{})
	defer g.Close()
	began := time.Now()
	if d := callStep(t, g, "o-1", nil).deferral(); d == nil || d.Until.Before(began.Add(30*time.Second)) {
		t.Errorf("deferred until %+v, want 30s", d)
	}
}

// The log has one line when the circuit opens, with the cause, and one when it closes.
func TestSetupFaultIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := &fakeService{err: errUnauthorized}
		g := newGuard(t, s, nil, downstream.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		defer g.Close()
		p := &planOrders{guard: g, attempts: 1}
		for i := range 200 {
			p.start(fmt.Sprintf("o-%d", i))
		}
		time.Sleep(time.Minute)
		const opened = `msg="circuit opened, orders park" downstream=stock cause=setup error="fault of the set-up: answered 401 Unauthorized: the token has expired"`
		if lines := strings.Split(strings.TrimSpace(log.String()), "\n"); len(lines) != 1 || !strings.Contains(lines[0], opened) {
			t.Errorf("logged %q, want one line with %s", lines, opened)
		}
		log.Reset()
		s.setError(nil)
		time.Sleep(2 * time.Minute)
		if lines := strings.Split(strings.TrimSpace(log.String()), "\n"); len(lines) != 1 || !strings.Contains(lines[0], "circuit closed") {
			t.Errorf("logged %q, want one line", lines)
		}
	})
}
