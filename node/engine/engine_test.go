package engine_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/engine"
)

func TestOrdersComplete(t *testing.T) {
	s := newServer(t)
	r := s.start(sim("sim:"), engine.Config{Node: "n-1"})
	natstest.Eventually(t, "ready", r.Ready)
	ids := s.publishOrders(200)
	s.untilEmpty()
	if got := s.checkCompleted(ids)["n-1"]; got != 1000 {
		t.Errorf("%d entries for 200 orders of four steps, want 1000", got)
	}
}

// blocked is a plan whose first step blocks until release is called.
func blocked() (p engine.Plan, release func()) {
	released := make(chan struct{})
	p = sim("sim:")
	p.Name, p.Steps[0].Timeout = "blocked", time.Minute
	p.Steps[0].Do = engine.Function(func(ctx context.Context, _ *engine.Call) (any, error) {
		select {
		case <-released:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	return p, func() { close(released) }
}

// Neither node has room for all orders, and none ends before both hold what they took.
func TestTwoNodesShareOrders(t *testing.T) {
	const orders = 200
	s := newServer(t)
	p, release := blocked()
	one := s.start(p, engine.Config{Node: "n-1", MaxInFlight: orders * 3 / 4})
	two := s.start(p, engine.Config{Node: "n-2", MaxInFlight: orders * 3 / 4})
	ids := s.publishOrders(orders)
	natstest.Eventually(t, "all orders in flight", func() bool { return one.InFlight()+two.InFlight() == orders })
	release()
	s.untilEmpty()
	if count := s.checkCompleted(ids); count["n-1"] == 0 || count["n-2"] == 0 {
		t.Errorf("entries by node: %v; want some of each", count)
	}
}

func TestDrainCompletesOrdersInMemory(t *testing.T) {
	s := newServer(t)
	p, release := blocked()
	r := s.start(p, engine.Config{})
	ids := s.publishOrders(50)
	natstest.Eventually(t, "all orders in flight", func() bool { return r.InFlight() == 50 })
	r.stop()
	natstest.Eventually(t, "not ready", func() bool { return !r.Ready() })
	release()
	if err := r.wait(t); err != nil {
		t.Fatal(err)
	}
	s.untilEmpty() // the server handles the last acknowledgements after Run has returned
	s.checkCompleted(ids)
}

func TestCloseLeavesOrdersToOthers(t *testing.T) {
	s := newServer(t)
	p, _ := blocked()
	r := s.start(p, engine.Config{DrainTimeout: time.Hour})
	s.publishOrders(20)
	natstest.Eventually(t, "all orders in flight", func() bool { return r.InFlight() == 20 })
	go r.Close()
	if err := r.wait(t); err != nil {
		t.Fatal(err)
	}
	r.Close()
	if n := s.stored(messages.StreamOrders); n != 20 {
		t.Errorf("%d messages in the inbox after Close, want all 20", n)
	}
	if err := r.Run(t.Context()); !errors.Is(err, engine.ErrStopped) {
		t.Errorf("Run after Close returned %v, want %v", err, engine.ErrStopped)
	}
}

func TestDeletedConsumerEscalates(t *testing.T) {
	s := newServer(t)
	r := s.start(sim("sim:"), engine.Config{})
	natstest.Eventually(t, "ready", r.Ready)
	if err := s.js.DeleteConsumer(t.Context(), messages.StreamOrders, messages.Consumer); err != nil {
		t.Fatal(err)
	}
	if err := r.wait(t); !errors.Is(err, engine.ErrEscalated) {
		t.Errorf("Run returned %v, want %v", err, engine.ErrEscalated)
	}
	if r.Ready() {
		t.Error("ready after an escalation")
	}
}

func TestNegativeConfigStopsTheStart(t *testing.T) {
	_, err := engine.New(t.Context(), nil, sim("sim:"), engine.Config{MaxInFlight: -1, Retention: -time.Second})
	if !errors.Is(err, engine.ErrConfig) || !strings.Contains(err.Error(), "MaxInFlight is -1") || !strings.Contains(err.Error(), "Retention is -1s") {
		t.Errorf("New returned %v, want %v with both fields", err, engine.ErrConfig)
	}
}

func TestStreamOfAnotherConfigurationStopsTheStart(t *testing.T) {
	s := newServer(t)
	if _, err := s.js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: messages.StreamOrders, Subjects: []string{"ORDER.*"}, Retention: jetstream.LimitsPolicy,
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := engine.New(t.Context(), s.Connect(), sim("sim:"), engine.Config{}); !errors.Is(err, ingress.ErrConfigMismatch) {
		t.Errorf("New returned %v, want %v", err, ingress.ErrConfigMismatch)
	}
}
