package gateway_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
)

// putOff is how long a call of a function that the set lacks is put off.
func putOff(t *testing.T, set *gateway.Set, c *gateway.Call) time.Duration {
	t.Helper()
	_, err := do(t, set, c)
	f := failure(t, err, messages.Transient)
	if f.Deferral == nil {
		t.Fatalf("%v, want a deferral", err)
	}
	return time.Until(f.Deferral.Until)
}

// attempt is a call of a function that is missing.
func attemptKey(order string, number uint32) *gateway.Call {
	c := call("func:wrap")
	c.Request.OrderId, c.Request.IdempotencyKey, c.Request.Attempt = order, order+"/wrap/do", number
	return c
}

func isFirst(d time.Duration) bool { return d >= 15*time.Second && d < 30*time.Second }

// A node whose program lacks the function does not spend the order's attempts: another node may have it.
func TestMissingFunctionIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := gateway.New(nil, gateway.Config{Functions: gateway.Functions{"wrap": nil}})
		defer set.Close()
		for _, target := range []string{"func:wrap", "func:pack"} {
			c := call(target)
			c.Request.IdempotencyKey = target
			_, err := do(t, set, c)
			f := failure(t, err, messages.Transient)
			if f.Deferral == nil || !strings.Contains(f.Deferral.Reason, "no function "+strings.TrimPrefix(target, "func:")) ||
				!isFirst(time.Until(f.Deferral.Until)) {
				t.Errorf("put off with %+v: want the function named, and 15 to 30 seconds", f.Deferral)
			}
		}
	})
}

// The waits grow with the time for which the function is missing, so that the order's history does not grow with it for
// long; those of other orders, and of an order that was attempted elsewhere, do not.
func TestMissingFunctionIsWaitedForEverLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := gateway.New(nil, gateway.Config{})
		defer set.Close()
		began, waits := time.Now(), 0
		for age := time.Duration(0); age < 48*time.Hour; age = time.Since(began) {
			wait := putOff(t, set, attemptKey("o-1", 1))
			least := min(max(age/10, 15*time.Second), 15*time.Minute)
			if wait < least || wait >= 2*least {
				t.Fatalf("put off for %s after %s, want %s to %s", wait, age, least, 2*least)
			}
			time.Sleep(wait)
			waits++
		}
		if waits > 200 {
			t.Errorf("%d waits in two days", waits)
		}
		for what, c := range map[string]*gateway.Call{"another order": attemptKey("o-2", 1), "another attempt": attemptKey("o-1", 2)} {
			if wait := putOff(t, set, c); !isFirst(wait) {
				t.Errorf("%s is put off for %s, want 15 to 30 seconds", what, wait)
			}
		}
	})
}

// What is remembered of missing functions is bounded: in time, and in number.
func TestMissingFunctionsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := gateway.New(nil, gateway.Config{})
		defer set.Close()
		putOff(t, set, attemptKey("o-1", 1))
		time.Sleep(time.Hour)
		for i := range 1 << 15 {
			putOff(t, set, attemptKey(fmt.Sprintf("many-%d", i), 1))
		}
		if wait := putOff(t, set, attemptKey("o-1", 1)); wait < 6*time.Minute {
			t.Errorf("put off for %s, want a tenth of an hour", wait)
		}
		for i := range 2 << 15 {
			putOff(t, set, attemptKey(fmt.Sprintf("more-%d", i), 1))
		}
		if wait := putOff(t, set, attemptKey("o-1", 1)); !isFirst(wait) {
			t.Errorf("put off for %s after many others, want 15 to 30 seconds", wait)
		}
		for range 2 {
			time.Sleep(7 * time.Hour)
			putOff(t, set, attemptKey("other", 1))
		}
		if wait := putOff(t, set, attemptKey("o-1", 1)); !isFirst(wait) {
			t.Errorf("put off for %s after a day, want 15 to 30 seconds", wait)
		}
	})
}
