package engine_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/engine"
	"github.com/orderly-engine/orderly/node/engine/client"
)

// TestStreamsInAnotherDomain: an engine and a client on a leaf node run an order whose streams are at the hub. The order
// parks once, so that timers are used too.
func TestStreamsInAnotherDomain(t *testing.T) {
	_, leaf := natstest.Leaf(t)
	nc := leaf.Connect()
	js, err := jetstream.NewWithDomain(nc, natstest.LeafDomain)
	if err != nil {
		t.Fatal(err)
	}
	ctx := natstest.Context(t)
	asked := 0
	later := engine.Function(func(_ context.Context, c *engine.Call) (any, error) {
		if asked++; asked == 1 {
			return nil, engine.RetryAfter(time.Second, errors.New("not yet"))
		}
		return nil, nil
	})
	p := engine.Plan{Name: "hub", Version: 1, Steps: []engine.Step{{Name: "later", Do: later}}}
	e, err := engine.New(ctx, nc, p, engine.Config{JetStream: js, Hold: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	leaf.WaitForInterest(messages.SubjectOrder+"o-1", messages.SubjectEvent+"o-1", messages.SubjectTimer+"o-1")
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- e.Run(running) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	orders, err := client.NewOn(js)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(orders.Close)
	if err := orders.Create(ctx, engine.Order{ID: "o-1", CustomerID: "c-7", Items: []engine.Item{{ProductID: "p", Quantity: 1, UnitPrice: 1}}}); err != nil {
		t.Fatal(err)
	}
	view, err := orders.Wait(ctx, "o-1")
	if err != nil {
		t.Fatal(err)
	}
	if view.Status != "completed" || asked != 2 {
		t.Errorf("the order is %s after %d calls, want completed after 2", view.Status, asked)
	}
	if _, err := leaf.JetStream().Stream(ctx, "ORDERS"); err == nil {
		t.Error("the leaf node has streams of its own: the domain was ignored")
	}
}
