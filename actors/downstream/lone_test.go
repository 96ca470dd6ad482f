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

func failing(id string, err error) func(string) error {
	return func(order string) error {
		if order == id {
			return err
		}
		return nil
	}
}

func TestOneOrderAloneDoesNotOpen(t *testing.T) {
	for _, err := range []error{errSilent, errAway} {
		synctest.Test(t, func(t *testing.T) {
			s := &shaky{refuses: failing("bad", err), answers: takes(10 * time.Millisecond), refusal: takes(0)}
			g := newGuard(t, s, nil, downstream.Config{})
			defer g.Close()
			var r results
			for i := range 6000 {
				if i%10 == 0 {
					g.Do(call(fmt.Sprintf("o-%d", i), nil, messages.Do), r.take)
				}
				g.Do(call("bad", nil, messages.Do), r.take)
				time.Sleep(10 * time.Millisecond)
			}
			if off, bad := r.count(putOff), r.count(failed); off > 0 || bad != 6000 {
				t.Errorf("%d put off and %d failed, want none and the 6000 of the one order", off, bad)
			}
		})
	}
}

func TestOneOrderAloneMakesNoSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n int
		s := &shaky{answers: takes(10 * time.Millisecond), refusal: takes(0), refuses: func(order string) error {
			if order == "bad" {
				return errSilent
			}
			if n++; n%10 < 3 {
				return errSilent
			}
			return nil
		}}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		var r results
		for i := range 6000 {
			if i%20 == 0 {
				g.Do(call(fmt.Sprintf("o-%d", i), nil, messages.Do), r.take)
			}
			g.Do(call("bad", nil, messages.Do), r.take)
			time.Sleep(10 * time.Millisecond)
		}
		if off, bad := r.count(putOff), r.count(failed); off > 0 || bad != 6000+90 {
			t.Errorf("%d put off and %d failed, want none and 6090", off, bad)
		}
	})
}

func TestOneOrderAloneDoesNotKeepItOpen(t *testing.T) {
	for _, err := range []error{errSilent, errAway, errInvalid} {
		synctest.Test(t, func(t *testing.T) {
			s := &service{}
			g := newGuard(t, s, nil, downstream.Config{})
			defer g.Close()
			open(t, g, s, errAway)
			time.Sleep(2 * time.Second)
			try := func(order string, ends error) result {
				s.becomes(ends)
				return ask(t, g, order, nil)
			}
			// Once it may be that the service is still out.
			try("bad", err)
			time.Sleep(3 * time.Second)
			for i := range 3 {
				for range 4 {
					if r := try("bad", err); done(r) || failed(r) != errors.Is(err, errInvalid) {
						t.Errorf("trial of the order: %+v", r)
					}
				}
				if r := try(fmt.Sprintf("good-%d", i), nil); !done(r) {
					t.Fatalf("trial %d of another order: %+v", i, r)
				}
			}
			if r := try("bad", err); !failed(r) {
				t.Errorf("%+v, want a failure of its own: the circuit is closed", r)
			}
		})
	}
}

func TestRetryAfterOfOneOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		g := newGuard(t, s, nil, downstream.Config{})
		defer g.Close()
		open(t, g, s, errAway)
		time.Sleep(2 * time.Second)
		s.becomes(&delivery.Failure{Kind: messages.Transient, RetryAfter: 30 * time.Second, Err: errSilent.Err})
		for range 2 {
			if d := ask(t, g, "first-4", nil).deferral(); d == nil || time.Until(d.Until) < 30*time.Second {
				t.Errorf("put off until %+v, the order was asked to wait 30s", d)
			}
		}
		s.becomes(nil)
		if r := ask(t, g, "o-1", nil); !done(r) {
			t.Errorf("%+v, want a trial", r)
		}
	})
}
