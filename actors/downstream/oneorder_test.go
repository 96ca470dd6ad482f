package downstream_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderly-engine/orderly/actors/downstream"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// failOrder fails the calls of one order.
func failOrder(id string, err error) func(string) error {
	return func(order string) error {
		if order == id {
			return err
		}
		return nil
	}
}

// One order that always fails, however often, does not open the circuit while others succeed.
func TestOneFailingOrderDoesNotOpen(t *testing.T) {
	for _, err := range []error{errTimeout, errUnreachable} {
		synctest.Test(t, func(t *testing.T) {
			s := &flakyService{refuses: failOrder("bad", err), replyTime: fixed(10 * time.Millisecond), refusalTime: fixed(0)}
			g := newGuard(t, s, nil, downstream.Config{})
			defer g.Close()
			var r results
			for i := range 6000 {
				if i%10 == 0 {
					g.Do(call(fmt.Sprintf("o-%d", i), nil, messages.Do), r.add)
				}
				g.Do(call("bad", nil, messages.Do), r.add)
				time.Sleep(10 * time.Millisecond)
			}
			if off, bad := r.count(deferred), r.count(failed); off > 0 || bad != 6000 {
				t.Errorf("%d deferred and %d failed, want none and all 6000 of that order", off, bad)
			}
		})
	}
}

// The many calls of one failing order do not trip the no-reply detector together with a few failures of others.
func TestOneFailingOrderDoesNotTripNoReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n int
		s := &flakyService{replyTime: fixed(10 * time.Millisecond), refusalTime: fixed(0), refuses: func(order string) error {
			if order == "bad" {
				return errTimeout
			}
			if n++; n%10 < 3 {
				return errTimeout
			}
			return nil
		}}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		var r results
		for i := range 6000 {
			if i%20 == 0 {
				g.Do(call(fmt.Sprintf("o-%d", i), nil, messages.Do), r.add)
			}
			g.Do(call("bad", nil, messages.Do), r.add)
			time.Sleep(10 * time.Millisecond)
		}
		if off, bad := r.count(deferred), r.count(failed); off > 0 || bad != 6000+90 {
			t.Errorf("%d deferred and %d failed, want none and 6090", off, bad)
		}
	})
}

// A failing order does not keep the circuit open with its trials: those of others close it.
func TestOneFailingOrderDoesNotKeepCircuitOpen(t *testing.T) {
	for _, err := range []error{errTimeout, errUnreachable, errInvalid} {
		synctest.Test(t, func(t *testing.T) {
			s := &fakeService{}
			g := newGuard(t, s, nil, downstream.Config{})
			defer g.Close()
			openCircuit(t, g, s, errUnreachable)
			time.Sleep(2 * time.Second)
			try := func(order string, ends error) result {
				s.setError(ends)
				return callStep(t, g, order, nil)
			}
			// The first failure may be that of the service.
			try("bad", err)
			time.Sleep(3 * time.Second)
			for i := range 3 {
				for range 4 {
					if r := try("bad", err); succeeded(r) || failed(r) != errors.Is(err, errInvalid) {
						t.Errorf("trial of the order: %+v", r)
					}
				}
				if r := try(fmt.Sprintf("good-%d", i), nil); !succeeded(r) {
					t.Fatalf("trial %d of another order: %+v", i, r)
				}
			}
			if r := try("bad", err); !failed(r) {
				t.Errorf("%+v, want a failure: the circuit is closed", r)
			}
		})
	}
}

// A Retry-After in a failed trial is obeyed by its order, and by no other if it is the order's repeated failure.
func TestRetryAfterOfOneOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeService{}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		openCircuit(t, g, s, errUnreachable)
		time.Sleep(2 * time.Second)
		s.setError(&delivery.Failure{Kind: messages.Transient, RetryAfter: 30 * time.Second, Err: errTimeout.Err})
		for range 2 {
			if d := callStep(t, g, "first-4", nil).deferral(); d == nil || time.Until(d.Until) < 30*time.Second {
				t.Errorf("deferred until %+v, want Retry-After obeyed: 30s", d)
			}
		}
		s.setError(nil)
		if r := callStep(t, g, "o-1", nil); !succeeded(r) {
			t.Errorf("%+v, want a trial", r)
		}
	})
}
