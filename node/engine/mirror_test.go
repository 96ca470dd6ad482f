package engine_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/audit"
	"github.com/orderly-engine/orderly/node/engine"
)

// TestMirrorsAndSourcesHarmNothing: each stream but that of the timers has a mirror, and one more stream has all of these as
// sources. They read beside the nodes' consumers. Every order parks once. A copy of the timers is not among them: with one, wake-ups
// were lost now and then (docs/operations.md).
func TestMirrorsAndSourcesHarmNothing(t *testing.T) {
	const orders = 100
	s := newServer(t)
	ctx := natstest.Context(t)
	p := sim("sim:")
	p.Name = "parking"
	p.Steps[0].Do = engine.Function(func(_ context.Context, c *engine.Call) (any, error) {
		if c.Attempt == 1 {
			return nil, engine.RetryAfter(time.Second, errors.New("not yet"))
		}
		return nil, nil
	})
	e, err := engine.New(ctx, s.Connect(), p, engine.Config{}) // creates the streams
	if err != nil {
		t.Fatal(err)
	}
	e.Close()
	all := []string{messages.StreamOrders, messages.StreamEvents, messages.StreamDead, messages.StreamPlans, messages.StreamLedger}
	var sources []*jetstream.StreamSource
	for _, name := range all {
		if _, err := s.js.CreateStream(ctx, jetstream.StreamConfig{Name: name + "_MIRROR", Mirror: &jetstream.StreamSource{Name: name}}); err != nil {
			t.Fatal(err)
		}
		sources = append(sources, &jetstream.StreamSource{Name: name})
	}
	if _, err := s.js.CreateStream(ctx, jetstream.StreamConfig{Name: "ALL", Sources: sources}); err != nil {
		t.Fatal(err)
	}
	s.publishOrders(orders)
	natstest.Eventually(t, "the inbox is copied", func() bool {
		return s.stored(messages.StreamOrders+"_MIRROR") == orders && s.stored("ALL") >= orders
	})

	s.start(p, engine.Config{Hold: time.Millisecond})
	natstest.Eventually(t, "every order has ended", func() bool {
		report, err := audit.Read(ctx, s.js)
		return err == nil && report.Orders.Completed == orders
	})
	s.untilEmpty()
	report, err := audit.Read(ctx, s.js)
	if err != nil || !report.Balanced() || report.Orders.Accepted != orders {
		t.Fatalf("verify: %+v, %v", report, err)
	}
	natstest.Eventually(t, "the journal is copied", func() bool {
		return s.stored(messages.StreamEvents+"_MIRROR") == s.stored(messages.StreamEvents)
	})
}
