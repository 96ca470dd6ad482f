package engine_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/demo"
	"github.com/orderly-engine/orderly/node/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, natstest.IgnoreServerGoroutines()...) }

// server is a NATS server with a JetStream client.
type server struct {
	*natstest.Server
	t  *testing.T
	js jetstream.JetStream
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := natstest.Start(t)
	return &server{s, t, s.JetStream()}
}

// sim is a plan of four steps with that target.
func sim(target string) engine.Plan { return engine.PlanFromProto(plan.Sim(target)) }

// start runs an engine on a connection of its own until the test ends.
func (s *server) start(p engine.Plan, cfg engine.Config) *running {
	s.t.Helper()
	return s.startOn(s.Connect(), p, cfg)
}

func (s *server) startOn(nc *nats.Conn, p engine.Plan, cfg engine.Config) *running {
	s.t.Helper()
	e, err := engine.New(s.t.Context(), nc, p, cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{Engine: e, stop: stop, ended: make(chan error, 1)}
	go func() { r.ended <- e.Run(ctx) }()
	s.t.Cleanup(func() {
		stop()
		if err := r.wait(s.t); err != nil {
			s.t.Error(err)
		}
	})
	return r
}

type running struct {
	*engine.Engine
	stop   context.CancelFunc
	ended  chan error
	waited bool
}

// wait returns what Run returned; the second call returns nil.
func (r *running) wait(t *testing.T) error {
	t.Helper()
	if r.waited {
		return nil
	}
	r.waited = true
	return natstest.Receive(t, r.ended, "the end of Run")
}

// publish publishes messages.
func (s *server) publish(all ...ingress.Outgoing) {
	s.t.Helper()
	p, err := ingress.NewPublisher(s.js.Conn(), ingress.PublisherConfig{})
	if err != nil {
		s.t.Fatal(err)
	}
	defer p.Close()
	var errs []error
	for _, o := range all {
		errs = append(errs, p.Publish(s.t.Context(), o, func(_ ingress.PubAck, err error) {
			if err != nil {
				s.t.Error(err)
			}
		}))
	}
	if err := errors.Join(append(errs, p.Flush(s.t.Context()))...); err != nil {
		s.t.Fatal(err)
	}
}

// publishOrders publishes n orders and returns their ids.
func (s *server) publishOrders(n int) (ids []messages.OrderID) {
	s.t.Helper()
	var all []ingress.Outgoing
	for _, o := range demo.Samples(n, uint64(time.Now().UnixNano())) {
		ids = append(ids, messages.OrderID(o.GetOrderId()))
		all = append(all, ingress.Outgoing{OrderID: ids[len(ids)-1], Body: o})
	}
	s.publish(all...)
	return ids
}

func created(id string) ingress.Outgoing {
	return ingress.Outgoing{OrderID: messages.OrderID(id), Body: gift(id, "c-7").Message()}
}

// stored is the number of messages in a stream.
func (s *server) stored(stream string) uint64 {
	s.t.Helper()
	st, err := s.js.Stream(s.t.Context(), stream)
	if err != nil {
		s.t.Fatal(err)
	}
	return st.CachedInfo().State.Msgs
}

// untilEmpty waits until no message and no timer is stored.
func (s *server) untilEmpty() {
	s.t.Helper()
	natstest.Eventually(s.t, "no message and no timer is stored", func() bool {
		return s.stored(messages.StreamOrders)+s.stored(messages.StreamTimers) == 0
	})
}

// history is the journal of an order, and the kinds of its events.
func (s *server) history(id messages.OrderID) (entries []journal.Entry, kinds []string) {
	s.t.Helper()
	j, err := journal.New(s.js, journal.Config{})
	if err != nil {
		s.t.Fatal(err)
	}
	defer j.Close()
	if entries, err = j.History(s.t.Context(), id); err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		for _, event := range e.Entry.GetEvents() {
			kinds = append(kinds, messages.KindOf(event))
		}
	}
	return entries, kinds
}

// checkCompleted checks that the orders completed without failures, and counts the entries of each node.
func (s *server) checkCompleted(ids []messages.OrderID) (entriesOf map[string]int) {
	s.t.Helper()
	entriesOf = map[string]int{}
	for _, id := range ids {
		entries, kinds := s.history(id)
		for _, e := range entries {
			entriesOf[e.Entry.GetNode()]++
		}
		if !slices.Equal(kinds, []string{"accepted", "step_completed", "step_completed", "step_completed", "step_completed", "completed"}) {
			s.t.Errorf("order %s: %v, want it accepted, four steps, completed", id, kinds)
		}
	}
	return entriesOf
}
