package engine_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/demo"
	"github.com/orderly-engine/orderly/node/engine"
	"github.com/orderly-engine/orderly/node/server/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = time.Minute

// site is a NATS server with a client.
type site struct {
	t      *testing.T
	server *embedded.Server
	nc     *nats.Conn
	js     jetstream.JetStream
}

func newSite(t *testing.T) *site {
	t.Helper()
	server, err := embedded.Start(embedded.Config{DataDir: t.TempDir(), Addr: "127.0.0.1:0", Relaxed: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	s := &site{t: t, server: server}
	s.nc = s.connect()
	if s.js, err = jetstream.New(s.nc); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) connect() *nats.Conn {
	s.t.Helper()
	nc, err := s.server.Connect()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	return nc
}

// run starts an engine on a connection of its own.
func (s *site) run(name, target string) *running {
	s.t.Helper()
	return s.runConfigured(engine.PlanFromProto(plan.Sim(target)), engine.Config{Node: name})
}

func (s *site) runConfigured(p engine.Plan, cfg engine.Config) *running {
	s.t.Helper()
	e, err := engine.New(s.t.Context(), s.connect(), p, cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{Engine: e, stop: stop, ended: make(chan error, 1)}
	go func() { r.ended <- e.Run(ctx) }()
	s.t.Cleanup(func() {
		stop()
		if err := r.end(s.t); err != nil {
			s.t.Error(err)
		}
	})
	return r
}

type running struct {
	*engine.Engine
	stop  context.CancelFunc
	ended chan error
	over  bool
}

// end waits until Run has returned.
func (r *running) end(t *testing.T) error {
	t.Helper()
	if r.over {
		return nil
	}
	r.over = true
	select {
	case err := <-r.ended:
		return err
	case <-time.After(patience):
		t.Fatal("the engine does not stop")
		return nil
	}
}

func (s *site) publish(n int) []messages.OrderID {
	s.t.Helper()
	p, err := ingress.NewPublisher(s.nc, ingress.PublisherConfig{})
	if err != nil {
		s.t.Fatal(err)
	}
	defer p.Close()
	ids := make([]messages.OrderID, n)
	for i, o := range demo.Samples(n, uint64(time.Now().UnixNano())) {
		ids[i] = messages.OrderID(o.GetOrderId())
		if err := p.Publish(s.t.Context(), ingress.Outgoing{OrderID: ids[i], Body: o}, func(_ ingress.PubAck, err error) {
			if err != nil {
				s.t.Error(err)
			}
		}); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := p.Flush(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	return ids
}

// until polls until done reports true.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (s *site) stored(stream string) uint64 {
	s.t.Helper()
	st, err := s.js.Stream(s.t.Context(), stream)
	if err != nil {
		s.t.Fatal(err)
	}
	return st.CachedInfo().State.Msgs
}

// nodes counts the entries that each node appended, after checking that the orders are complete.
func (s *site) nodes(ids []messages.OrderID) map[string]int {
	s.t.Helper()
	j, err := journal.New(s.js, journal.Config{})
	if err != nil {
		s.t.Fatal(err)
	}
	defer j.Close()
	count := map[string]int{}
	for _, id := range ids {
		entries, err := j.History(s.t.Context(), id)
		if err != nil {
			s.t.Fatal(err)
		}
		var kinds string
		for _, e := range entries {
			kinds += " " + journal.Kinds(e.Entry)
			count[e.Entry.GetNode()]++
		}
		if want := " accepted step_completed step_completed step_completed step_completed,completed"; kinds != want {
			s.t.Errorf("order %s:%s, want%s", id, kinds, want)
		}
	}
	return count
}

func TestCarriesOrdersToTheirEnd(t *testing.T) {
	s := newSite(t)
	r := s.run("n-1", "sim:")
	until(t, "ready", r.Ready)
	ids := s.publish(200)
	until(t, "an empty inbox", func() bool { return s.stored(messages.StreamOrders) == 0 })
	if got := s.nodes(ids)["n-1"]; got != 1000 {
		t.Errorf("%d entries for 200 orders of four steps, want 1000", got)
	}
}

// gated is a plan whose orders stay at their first step until open is called.
func gated() (p engine.Plan, open func()) {
	gate := make(chan struct{})
	p = engine.PlanFromProto(plan.Sim("sim:"))
	p.Name, p.Steps[0].Timeout = "gated", time.Minute
	p.Steps[0].Do = engine.Function(func(ctx context.Context, _ *engine.Call) (any, error) {
		select {
		case <-gate:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	return p, func() { close(gate) }
}

// Neither has room for all orders, and none ends before both hold what they have taken.
func TestTwoNodesShareTheWork(t *testing.T) {
	const orders = 200
	s := newSite(t)
	p, open := gated()
	one := s.runConfigured(p, engine.Config{Node: "n-1", MaxInFlight: orders * 3 / 4})
	two := s.runConfigured(p, engine.Config{Node: "n-2", MaxInFlight: orders * 3 / 4})
	ids := s.publish(orders)
	until(t, "all in flight", func() bool { return one.InFlight()+two.InFlight() == orders })
	open()
	until(t, "an empty inbox", func() bool { return s.stored(messages.StreamOrders) == 0 })
	if count := s.nodes(ids); count["n-1"] == 0 || count["n-2"] == 0 {
		t.Errorf("entries by node: %v; want some of each", count)
	}
}

func TestDrainCarriesOnWithWhatIsHeld(t *testing.T) {
	s := newSite(t)
	p, open := gated()
	r := s.runConfigured(p, engine.Config{Node: "n-1"})
	ids := s.publish(50)
	until(t, "all in flight", func() bool { return r.InFlight() == 50 })
	r.stop()
	until(t, "a node that takes nothing more", func() bool { return !r.Ready() })
	open()
	if err := r.end(t); err != nil {
		t.Fatal(err)
	}
	// The server handles the acknowledgements it was sent when it gets to them.
	until(t, "an empty inbox after a drain", func() bool { return s.stored(messages.StreamOrders) == 0 })
	s.nodes(ids)
}

func TestCloseLeavesOrdersToOthers(t *testing.T) {
	s := newSite(t)
	p, _ := gated()
	r := s.runConfigured(p, engine.Config{})
	s.publish(20)
	until(t, "all in flight", func() bool { return r.InFlight() == 20 })
	r.stop()
	r.Close()
	if err := r.end(t); err != nil {
		t.Fatal(err)
	}
	if left := s.stored(messages.StreamOrders); left != 20 {
		t.Errorf("%d messages in the inbox after Close, want all 20", left)
	}
}

// An engine that can take nothing in any more must not look alive.
func TestGoneConsumerEscalates(t *testing.T) {
	s := newSite(t)
	r := s.run("n-1", "sim:")
	until(t, "ready", r.Ready)
	if err := s.js.DeleteConsumer(t.Context(), messages.StreamOrders, messages.Consumer); err != nil {
		t.Fatal(err)
	}
	if err := r.end(t); !errors.Is(err, engine.ErrEscalated) {
		t.Errorf("Run returned %v, want %v", err, engine.ErrEscalated)
	}
	if r.Ready() {
		t.Error("ready after an escalation")
	}
}

func TestStreamOfAnotherShapeStopsTheStart(t *testing.T) {
	s := newSite(t)
	if _, err := s.js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: messages.StreamOrders, Subjects: []string{"ORDER.*"}, Retention: jetstream.LimitsPolicy,
	}); err != nil {
		t.Fatal(err)
	}
	_, err := engine.New(t.Context(), s.connect(), engine.PlanFromProto(plan.Sim("sim:")), engine.Config{})
	if !errors.Is(err, ingress.ErrConfigMismatch) {
		t.Errorf("New returned %v, want %v", err, ingress.ErrConfigMismatch)
	}
}

func TestWrongPlanStopsTheStart(t *testing.T) {
	s := newSite(t)
	p := engine.PlanFromProto(plan.Sim("sim:"))
	p.Steps[1].Do = engine.URL("ftp://payments")
	_, err := engine.New(t.Context(), s.connect(), p, engine.Config{})
	if err == nil || !strings.Contains(err.Error(), "step authorize_payment: do") {
		t.Errorf("New returned %v, want an error that names step and field", err)
	}
}
