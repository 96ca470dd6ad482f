package actors_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/orderly-engine/orderly/actors"
	"github.com/orderly-engine/orderly/actors/directory"
	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/actors/journal/journaltest"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/budget"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// parent is a supervisor that logs everything and restarts a failed child.
type parent struct {
	log   *record
	child *actor.PID
	order func() actor.Actor
	spawn chan *actor.PID
}

func (p *parent) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started, another:
		p.child = ctx.Spawn(actor.PropsFromProducer(p.order))
		p.spawn <- p.child
	case *delivery.Settled:
		p.log.add(fmt.Sprintf("settle %d %s", m.Delivery.Sequence, m.Outcome))
	}
}

func (p *parent) HandleFailure(_ *actor.ActorSystem, s actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, reason, _ any) {
	f := delivery.AsFailure(reason)
	p.log.add("fail " + f.Kind.Label())
	s.RestartChildren(child)
}

// another makes the parent spawn another child.
type another struct{}

// fixture is one order actor with fakes around it.
type fixture struct {
	*record
	memory *memory
	steps  *downstream
	inbox  *inbox
	timers *timers
	budget *budget.Budget
	room   *room
	system *actor.ActorSystem
	parent *parent
	top    *actor.PID
	order  *actor.PID

	mu      sync.Mutex
	running []*func()
}

const id = messages.OrderID("o-1")

var testPlan = &messages.Plan{Name: "test", Version: 1, Steps: []*messages.Step{
	{Name: "reserve", Do: "sim:", Undo: "sim:"},
	{Name: "pay", Do: "sim:", Undo: "sim:"},
	{Name: "ship", Do: "sim:", Undo: "sim:"},
}}

func newFixture(t *testing.T, options ...func(*actors.Config)) *fixture {
	t.Helper()
	return newFixtureOf(t, nil, options...)
}

// newFixtureOf is newFixture with downstreams.
func newFixtureOf(t *testing.T, downstreams *directory.Directory, options ...func(*actors.Config)) *fixture {
	t.Helper()
	log := &record{moved: make(chan struct{})}
	s := &fixture{
		record: log,
		memory: &memory{Journal: &journaltest.Journal{}, log: log},
		steps:  &downstream{log: log, plan: map[string][]answer{}, open: map[string]gateway.Done{}, calls: map[string]*gateway.Call{}, token: map[string]uint64{}},
		inbox:  &inbox{},
		timers: &timers{log: log},
		budget: budget.New(1 << 30),
		room:   &room{},
		system: actor.NewActorSystem(actor.WithLoggerFactory(quiet)),
	}
	cfg := actors.Config{Node: "n-1", Plan: testPlan, AfterFunc: s.after, Rand: func() float64 { return 0 }}
	for _, option := range options {
		option(&cfg)
	}
	d := actors.Deps{Memory: s.budget, Journal: s.memory, Steps: s.steps, Inbox: s.inbox, Timers: s.timers, Room: s.room, Downstreams: downstreams}
	orders, err := actors.NewFactory(d, cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.parent = &parent{log: log, order: orders.Produce, spawn: make(chan *actor.PID, 1)}
	s.top = s.system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return s.parent }))
	s.order = <-s.parent.spawn
	t.Cleanup(orders.Close)
	t.Cleanup(func() {
		if err := s.system.Root.StopFuture(s.top).Wait(); err != nil {
			t.Error(err)
		}
		s.system.Shutdown()
	})
	return s
}

// forget replaces the actor by one without memory.
func (s *fixture) forget() {
	s.system.Root.Send(s.top, another{})
	s.order = <-s.parent.spawn
}

// after keeps the timer of an actor until fire.
func (s *fixture) after(_ time.Duration, f func()) func() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &f
	s.running = append(s.running, t)
	s.add("timer set")
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		i := slices.Index(s.running, t)
		if i >= 0 {
			s.running = slices.Delete(s.running, i, i+1)
			s.add("timer stopped")
		}
		return i >= 0
	}
}

// timer is the callback of the timer that was set last.
func (s *fixture) timer() func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *s.running[len(s.running)-1]
}

// fire lets the time of all timers pass.
func (s *fixture) fire() {
	s.mu.Lock()
	timers := s.running
	s.running = nil
	s.mu.Unlock()
	for _, f := range timers {
		(*f)()
	}
}

func (s *fixture) deliver(d *delivery.Delivery) { s.system.Root.Send(s.order, d) }

var deliveries = struct {
	sync.Mutex
	n int
}{}

// newDelivery of an inbox message; count is how often it was delivered.
func newDelivery(t messages.Type, seq, count uint64) *delivery.Delivery {
	deliveries.Lock()
	deliveries.n++
	incarnation := fmt.Sprintf("i-%d", deliveries.n)
	deliveries.Unlock()
	d := &delivery.Delivery{
		OrderID: id, Type: t, Stream: messages.StreamOrders, Sequence: seq, Deliveries: count,
		Stored: time.Now(), Received: time.Now(), Incarnation: incarnation,
	}
	switch t {
	case messages.TypeCreated:
		d.Created = &messages.OrderCreated{OrderId: string(id), CustomerId: "c-1", Currency: "USD", TotalAmount: 2,
			Items: []*messages.OrderItem{{ProductId: "p", Quantity: 2, UnitPrice: 1}}}
	case messages.TypeCancel:
		d.Cancel = &messages.CancelOrder{Reason: "changed my mind"}
	case messages.TypeSignal:
		d.Signal = &messages.SignalOrder{Name: "paid"}
	}
	return d
}
