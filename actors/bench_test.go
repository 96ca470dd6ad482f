package actors_test

import (
	"sync/atomic"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/orderly-engine/orderly/actors"
	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/actors/journal/journaltest"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// BenchmarkOrder is what an order of three steps costs in its actor, from the delivery to its settlement, with a journal in
// memory: when the steps reply before their call returns, when they reply from another goroutine, and when every fifth call
// fails and is made again after a millisecond.
func BenchmarkOrder(b *testing.B) {
	for _, bench := range []struct {
		name      string
		async     bool
		failEvery uint64
	}{
		{name: "inline"},
		{name: "async", async: true},
		{name: "failing", async: true, failEvery: 5},
	} {
		b.Run(bench.name, func(b *testing.B) { benchmarkOrders(b, bench.async, bench.failEvery) })
	}
}

func benchmarkOrders(b *testing.B, async bool, failEvery uint64) {
	const inFlight = 64
	steps := &benchSteps{failEvery: failEvery}
	if async {
		steps.replies = make(chan func(), inFlight)
		go func() {
			for reply := range steps.replies {
				reply()
			}
		}()
		defer close(steps.replies)
	}
	log := (*record)(nil)
	memory := &memory{Journal: &journaltest.Journal{}, log: log}
	factory, err := actors.NewFactory(actors.Deps{Journal: memory, Steps: steps, Inbox: &inbox{}, Timers: &timers{log: log}}, actors.Config{
		Node: "n-1", Plan: testPlan, Rand: func() float64 { return 0.01 },
	})
	if err != nil {
		b.Fatal(err)
	}
	defer factory.Close()
	system := actor.NewActorSystem(actor.WithLoggerFactory(quiet))
	defer system.Shutdown()
	parent := &benchParent{order: factory.Produce, idle: make(chan struct{}, inFlight), actors: map[*delivery.Delivery]*actor.PID{}}
	top := system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return parent }, actor.WithSupervisor(parent)))
	b.ReportAllocs()
	b.ResetTimer()
	for n := range b.N {
		if n >= inFlight {
			<-parent.idle
		}
		d := newDelivery(messages.TypeCreated, uint64(n)+1, 1)
		d.OrderID = messages.OrderID("o-" + d.Incarnation)
		d.Created.OrderId = string(d.OrderID)
		system.Root.Send(top, d)
	}
	for range min(b.N, inFlight) {
		<-parent.idle
	}
	b.StopTimer()
	if err := system.Root.StopFuture(top).Wait(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(memory.readSoFar())/float64(b.N), "reads/op")
}

// benchSteps answers every call, and fails one in failEvery.
type benchSteps struct {
	failEvery uint64
	calls     atomic.Uint64
	replies   chan func()
}

var benchReply = reply("done")

func (s *benchSteps) Do(_ *gateway.Call, done gateway.Done) {
	answer := func() { done(benchReply, nil) }
	if n := s.calls.Add(1); s.failEvery > 0 && n%s.failEvery == 0 {
		answer = func() { done(nil, errDownstream) }
	}
	if s.replies == nil {
		answer()
		return
	}
	s.replies <- answer
}

// benchParent spawns an actor for each delivery and stops it when that is settled.
type benchParent struct {
	order  func() actor.Actor
	idle   chan struct{}
	actors map[*delivery.Delivery]*actor.PID
}

func (p *benchParent) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *delivery.Delivery:
		pid := ctx.Spawn(actor.PropsFromProducer(p.order))
		p.actors[m] = pid
		ctx.Send(pid, m)
	case *delivery.Settled:
		ctx.Stop(p.actors[m.Delivery])
		delete(p.actors, m.Delivery)
		p.idle <- struct{}{}
	}
}

// HandleFailure makes p the actor.SupervisorStrategy of the order actors, none of which may fail.
func (p *benchParent) HandleFailure(_ *actor.ActorSystem, _ actor.Supervisor, _ *actor.PID, _ *actor.RestartStatistics, reason, _ any) {
	panic(reason)
}
