package demo_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/demo"
)

func TestBehaviorsFromText(t *testing.T) {
	b, err := demo.ParseBehaviors(" latency=5ms, fail=0.01,payments.fail=0.5,shipping.pending=1 ,shipping.finish=3s,reject=0.02,inventory.away=true,")
	if err != nil {
		t.Fatal(err)
	}
	want := demo.Behaviors{
		Inventory: demo.Behavior{Latency: 5 * time.Millisecond, Fail: 0.01, Reject: 0.02, Away: true},
		Payments:  demo.Behavior{Latency: 5 * time.Millisecond, Fail: 0.5, Reject: 0.02},
		Shipping:  demo.Behavior{Latency: 5 * time.Millisecond, Fail: 0.01, Reject: 0.02, Pending: 1, Finish: 3 * time.Second},
	}
	if b != want {
		t.Errorf("got %+v, want %+v", b, want)
	}
	text, err := b.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := demo.ParseBehaviors(string(text)); err != nil || again != want {
		t.Errorf("%s is parsed as %+v, %v", text, again, err)
	}
	for s, words := range map[string]string{
		"latency": "no value", "latency=5": "such as 5ms", "fail=often": "share", "fail=2": "0–1", "latency=2h": "1m0s",
		"billing.fail=1": "inventory, payments or shipping", "speed=1": "want latency", "away=yes": "neither true nor false", "reject=NaN": "0–1",
	} {
		if _, err := demo.ParseBehaviors(s); !errors.Is(err, demo.ErrBehavior) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: got %v, want %q", s, err, words)
		}
	}
}

func TestSamples(t *testing.T) {
	const n = 300
	orders, again, other := demo.Samples(n, 7), demo.Samples(n, 7), demo.Samples(n, 8)
	seen := map[string]bool{}
	bad := 0
	for i, o := range orders {
		if !proto.Equal(o, again[i]) {
			t.Fatalf("the same seed gave %s and %s", o, again[i])
		}
		if seen[o.OrderId] || o.OrderId == other[i].OrderId {
			t.Errorf("id %s is used twice", o.OrderId)
		}
		seen[o.OrderId] = true
		if _, err := messages.ParseOrderID(o.OrderId); err != nil {
			t.Error(err)
		}
		var total float64
		unlucky := o.CustomerId == demo.CustomerDeclined
		for _, item := range o.Items {
			total += float64(item.Quantity) * item.UnitPrice
			unlucky = unlucky || item.ProductId == demo.ProductOutOfStock || item.ProductId == demo.ProductTooHeavy
			if item.ProductId == "" || item.Quantity < 1 || item.UnitPrice <= 0 {
				t.Errorf("order %s has item %s", o.OrderId, item)
			}
		}
		if unlucky {
			bad++
		}
		if math.Abs(total-o.TotalAmount) > 0.001 || len(o.Items) == 0 || o.CustomerId == "" || o.Currency == "" {
			t.Errorf("order %s sums to %v", o, total)
		}
	}
	if bad != n/10 {
		t.Errorf("%d of %d orders fare badly, want one in ten", bad, n)
	}
	if len(demo.Samples(0, 1)) != 0 || len(demo.Samples(-1, 1)) != 0 {
		t.Error("no orders asked for, some made")
	}
}
