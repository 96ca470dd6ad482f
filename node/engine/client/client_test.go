package client_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/engine"
	"github.com/orderly-engine/orderly/node/engine/client"
	"github.com/orderly-engine/orderly/node/timeline"
)

// patience is longer than natstest.Patience: one test handles a hundred orders in sequence.
const patience = 2 * natstest.Patience

func order(id string) engine.Order {
	return engine.Order{ID: id, CustomerID: "c-7", Items: []engine.Item{{ProductID: "p", Quantity: 1, UnitPrice: 9.5}}}
}

// start runs an engine whose steps are simulated at the target, and returns a client.
func start(t *testing.T, target string) *client.Client {
	t.Helper()
	server := natstest.Start(t)
	e, err := engine.New(t.Context(), server.Connect(), engine.PlanFromProto(plan.Sim(target)), engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		e.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	c, err := client.New(server.Connect())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// An order that ends at once is known from the moment its message is stored.
func TestStoredOrderIsFoundAndWaitedFor(t *testing.T) {
	c, ctx := start(t, "sim:"), within(t, patience)
	for i := range 100 {
		id := fmt.Sprintf("o-%d", i)
		if err := c.Create(ctx, order(id)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Order(ctx, id); err != nil {
			t.Fatal(err)
		}
		view, err := c.Wait(ctx, id)
		if err != nil || view.Status != "completed" || view.OrderID != id {
			t.Fatalf("order %s: %+v, %v", id, view, err)
		}
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	c := start(t, "sim:?latency=1m")
	if err := c.Create(within(t, patience), order("o-1")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Wait(within(t, 200*time.Millisecond), "o-1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
}

func TestUnknownOrder(t *testing.T) {
	c, ctx := start(t, "sim:"), within(t, patience)
	if _, err := c.Order(ctx, "unknown"); !errors.Is(err, client.ErrUnknownOrder) {
		t.Errorf("Order: %v", err)
	}
	if _, err := c.Wait(ctx, "unknown"); !errors.Is(err, client.ErrUnknownOrder) {
		t.Errorf("Wait: %v", err)
	}
	if err := c.Follow(ctx, "unknown", func([]timeline.Event) error { return nil }); !errors.Is(err, client.ErrUnknownOrder) {
		t.Errorf("Follow: %v", err)
	}
}

func TestFollowYieldsAllEvents(t *testing.T) {
	c, ctx := start(t, "sim:?latency=5ms"), within(t, patience)
	if err := c.Create(ctx, order("o-1")); err != nil {
		t.Fatal(err)
	}
	var kinds []string
	if err := c.Follow(ctx, "o-1", func(events []timeline.Event) error {
		for _, e := range events {
			kinds = append(kinds, e.Kind)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(kinds) != 6 || kinds[0] != "accepted" || kinds[5] != "completed" {
		t.Errorf("got %v, want accepted, four steps, completed", kinds)
	}
	enough := errors.New("enough")
	if err := c.Follow(ctx, "o-1", func([]timeline.Event) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("yield's error became %v", err)
	}
}

func TestInvalidMessagesAreRefused(t *testing.T) {
	c, ctx := start(t, "sim:"), within(t, patience)
	if err := c.Create(ctx, order("not an id")); !errors.Is(err, messages.ErrOrderID) {
		t.Errorf("got %v, want %v", err, messages.ErrOrderID)
	}
	if err := c.Signal(ctx, "o-1", "paid", math.NaN()); err == nil || !strings.Contains(err.Error(), "signal paid of order o-1") {
		t.Errorf("data that JSON cannot hold: %v", err)
	}
}
