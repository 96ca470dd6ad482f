package gateway_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderly-engine/orderly/actors/directory"
	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
)

// deferralDelay returns by how long a call of a function that the set lacks is deferred.
func deferralDelay(t *testing.T, set *gateway.Set, c *gateway.Call) time.Duration {
	t.Helper()
	_, err := callAndWait(t, set, c)
	f := requireFailure(t, err, messages.Transient)
	if f.Deferral == nil {
		t.Fatalf("%v, want a deferral", err)
	}
	return time.Until(f.Deferral.Until)
}

// missingFunctionCall returns a call of a missing function.
func missingFunctionCall(order string, number uint32) *gateway.Call {
	c := call("func:wrap")
	c.Request.OrderId, c.Request.IdempotencyKey, c.Attempt = order, order+"/wrap/do", number
	return c
}

func isFirst(d time.Duration) bool { return d >= 15*time.Second && d < 30*time.Second }

// A node that lacks the function defers the call without spending an attempt: another node may have it.
func TestMissingFunctionIsDeferred(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := gateway.New(nil, gateway.Config{Functions: gateway.Functions{"wrap": nil}})
		defer set.Close()
		for _, target := range []string{"func:wrap", "func:pack"} {
			c := call(target)
			c.Request.IdempotencyKey = target
			_, err := callAndWait(t, set, c)
			f := requireFailure(t, err, messages.Transient)
			if f.Deferral == nil || !strings.Contains(f.Deferral.Reason, "no function "+strings.TrimPrefix(target, "func:")) ||
				!isFirst(time.Until(f.Deferral.Until)) {
				t.Errorf("deferred with %+v: want the function named, and 15 to 30 seconds", f.Deferral)
			}
		}
	})
}

// A call of a downstream that the node's file lacks is deferred likewise.
func TestMissingDownstreamIsDeferred(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := directory.Parse([]byte("stock: {nats: shop.stock}"), "")
		if err != nil {
			t.Fatal(err)
		}
		set := gateway.New(nil, gateway.Config{Directory: d})
		defer set.Close()
		for target, want := range map[string]string{
			"payments/capture": "this node has no downstream payments (ORDERLY_DOWNSTREAMS)", "stock/reserve?fast=1": "cannot contain",
		} {
			c := call(target)
			c.Request.IdempotencyKey = target
			_, err := callAndWait(t, set, c)
			f := requireFailure(t, err, messages.Transient)
			if f.Deferral == nil || !strings.Contains(f.Deferral.Reason, want) || !isFirst(time.Until(f.Deferral.Until)) {
				t.Errorf("deferred with %+v: want %q, and 15 to 30 seconds", f.Deferral, want)
			}
		}
	})
}

// The deferrals of an attempt grow with the time for which its function is missing; those of other orders and attempts do not.
func TestMissingFunctionIsDeferredLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := gateway.New(nil, gateway.Config{})
		defer set.Close()
		began, waits := time.Now(), 0
		for age := time.Duration(0); age < 48*time.Hour; age = time.Since(began) {
			wait := deferralDelay(t, set, missingFunctionCall("o-1", 1))
			least := min(max(age/10, 15*time.Second), 15*time.Minute)
			if wait < least || wait >= 2*least {
				t.Fatalf("deferred by %s after %s, want %s to %s", wait, age, least, 2*least)
			}
			time.Sleep(wait)
			waits++
		}
		if waits > 200 {
			t.Errorf("%d deferrals in two days", waits)
		}
		for what, c := range map[string]*gateway.Call{"another order": missingFunctionCall("o-2", 1), "another attempt": missingFunctionCall("o-1", 2)} {
			if wait := deferralDelay(t, set, c); !isFirst(wait) {
				t.Errorf("%s is deferred by %s, want 15 to 30 seconds", what, wait)
			}
		}
	})
}

// The memory of missing functions is bounded in time and number.
func TestMemoryOfMissingFunctionsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := gateway.New(nil, gateway.Config{})
		defer set.Close()
		deferralDelay(t, set, missingFunctionCall("o-1", 1))
		time.Sleep(time.Hour)
		for i := range 1 << 15 {
			deferralDelay(t, set, missingFunctionCall(fmt.Sprintf("many-%d", i), 1))
		}
		if wait := deferralDelay(t, set, missingFunctionCall("o-1", 1)); wait < 6*time.Minute {
			t.Errorf("deferred by %s, want a tenth of an hour", wait)
		}
		for i := range 2 << 15 {
			deferralDelay(t, set, missingFunctionCall(fmt.Sprintf("more-%d", i), 1))
		}
		if wait := deferralDelay(t, set, missingFunctionCall("o-1", 1)); !isFirst(wait) {
			t.Errorf("deferred by %s after many others, want 15 to 30 seconds", wait)
		}
		for range 2 {
			time.Sleep(7 * time.Hour)
			deferralDelay(t, set, missingFunctionCall("other", 1))
		}
		if wait := deferralDelay(t, set, missingFunctionCall("o-1", 1)); !isFirst(wait) {
			t.Errorf("deferred by %s after a day, want 15 to 30 seconds", wait)
		}
	})
}

// Times that the node sets are by the server's clock: the end of a park, and the deadline of a reply without one.
func TestTimesAreOfTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const behind = 10 * time.Minute
		set := gateway.New(nil, gateway.Config{ServerTime: func(t time.Time) time.Time { return t.Add(-behind) }})
		defer set.Close()
		if d := deferralDelay(t, set, missingFunctionCall("o-1", 1)) + behind; !isFirst(d) {
			t.Errorf("deferred for %s", d)
		}
		reply, err := callAndWait(t, set, call("sim:?pending=1"))
		if d := time.Until(reply.GetPending().GetDeadline().AsTime()) + behind; err != nil || d <= 0 || d > time.Minute {
			t.Errorf("the deadline is in %s, %v", d, err)
		}
	})
}
