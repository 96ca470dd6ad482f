package actors_test

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/orderly-engine/orderly/actors"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// pump is a dispatcher that runs actors on the simulation's goroutine.
type pump struct {
	system *actor.ActorSystem

	mu    sync.Mutex
	queue []func()
	// filled has an element after the queue grew.
	filled chan struct{}
}

func newPump(t *testing.T) *pump {
	p := &pump{filled: make(chan struct{}, 1), system: actor.NewActorSystem(actor.WithLoggerFactory(quiet))}
	t.Cleanup(p.system.Shutdown)
	return p
}

// quiet discards what the actor library logs.
func quiet(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }

// Schedule makes p an actor.Dispatcher.
func (p *pump) Schedule(fn func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(p.queue, fn)
	select {
	case p.filled <- struct{}{}:
	default:
	}
}

// Throughput makes p an actor.Dispatcher.
func (*pump) Throughput() int { return 1000 }

// run lets all actors act until none has anything to do.
func (p *pump) run() {
	for {
		p.mu.Lock()
		if len(p.queue) == 0 {
			p.mu.Unlock()
			return
		}
		fn := p.queue[0]
		p.queue = p.queue[1:]
		p.mu.Unlock()
		fn()
	}
}

// node holds deliveries, and spawns and restarts its order actor, as the supervisor does.
type node struct {
	w    *simulation
	name string
	// inline: step calls reply before they return.
	inline  bool
	self    *actor.PID
	pending []*delivery.Delivery
	actor   *instance
	// failing: the actor failed, and the next one is not spawned yet.
	failing bool
	giveUp  bool
}

func newNode(w *simulation, name string, inline bool) *node {
	n := &node{w: w, name: name, inline: inline}
	n.self = w.pump.system.Root.Spawn(actor.PropsFromFunc(n.receive, actor.WithDispatcher(w.pump), actor.WithSupervisor(n)))
	w.pump.run()
	return n
}

// instance is one instance of an order actor.
type instance struct {
	node   *node
	orders *actors.Factory
	order  *actors.Order
	pid    *actor.PID
	// knows: it has read or appended an entry of the order.
	knows bool
}

func (i *instance) alive() bool { return i.node.actor == i }

func (n *node) receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *instance:
		m.pid = ctx.Spawn(actor.PropsFromProducer(func() actor.Actor { return m.order }, actor.WithDispatcher(n.w.pump)))
	case *delivery.Settled:
		n.settle(m.Delivery, m.Outcome)
	case *failing:
		if n.actor != nil && m.who.Equal(n.actor.pid) {
			n.failed(m.failure)
		}
	}
}

// failing brings a failure to the node, behind the messages that the actor sent before.
type failing struct {
	who     *actor.PID
	failure *delivery.Failure
}

// HandleFailure makes n the actor.SupervisorStrategy of its order actor.
func (n *node) HandleFailure(sys *actor.ActorSystem, _ actor.Supervisor, who *actor.PID, _ *actor.RestartStatistics, reason, _ any) {
	sys.Root.Send(n.self, &failing{who, delivery.AsFailure(reason)})
}

func (n *node) failed(f *delivery.Failure) {
	n.w.t.Logf("  %s fails: %v", n.name, f)
	if f.Kind != messages.Infrastructure {
		n.w.fail("%s: %v", n.name, f)
	}
	n.fail(false)
}

// take delivers m to the node. While the stream waits for the acknowledgement of an earlier delivery, it does so only after
// the acknowledgement wait; a message that was nak'ed it delivers at once, whoever still holds it.
func (n *node) take(m *message) {
	if over := m.delivered.Add(ackWait); n.w.awaitsAck(m) && n.w.now.Before(over) {
		n.w.now = over
	}
	n.w.deliveries++
	m.deliveries++
	m.pending, m.delivered = true, n.w.now
	d := *m.Delivery
	d.Received = n.w.now
	d.Deliveries, d.Incarnation = m.deliveries, fmt.Sprintf("i%d", n.w.deliveries)
	n.pending = append(n.pending, &d)
	if n.failing {
		return
	}
	if n.actor == nil {
		n.spawn()
	}
	n.send(&d)
}

const ackWait = 5 * time.Second

func (n *node) spawn() {
	i := &instance{node: n}
	orders, err := actors.NewFactory(actors.Deps{
		Journal: simulatedDeps{i}, Steps: simulatedDeps{i}, Inbox: simulatedDeps{i}, Timers: simulatedDeps{i},
	}, actors.Config{
		Node: n.name, Plan: n.w.plan, Hold: n.w.hold, Rand: func() float64 { return 1 }, AckWait: ackWait, Timeout: time.Hour, CheckpointEvery: n.w.checkpoint, Now: func() time.Time { return n.w.now },
		AfterFunc: func(d time.Duration, f func()) func() bool { return n.w.afterFunc(i, d, f) },
	})
	if err != nil {
		n.w.t.Fatal(err)
	}
	i.orders, i.order = orders, orders.Produce().(*actors.Order)
	n.actor = i
	n.w.pump.system.Root.Send(n.self, i)
	n.w.pump.run()
	if n.giveUp {
		n.send(&delivery.GiveUp{Failure: &delivery.Failure{Kind: messages.Defect, Err: fmt.Errorf("its budget is spent")}})
	}
}

func (n *node) send(m any) { n.w.pump.system.Root.Send(n.actor.pid, m) }

// gone stops the actor.
func (n *node) gone() {
	if i := n.actor; i != nil {
		n.actor = nil
		n.w.pump.system.Root.Stop(i.pid)
		i.orders.Close()
	}
}

// fail ends the actor; its deliveries stay with the node.
func (n *node) fail(giveUp bool) {
	n.gone()
	n.failing = true
	n.giveUp = n.giveUp || giveUp
}

func (n *node) restart() {
	n.failing = false
	n.spawn()
	for _, d := range n.pending {
		n.send(d)
	}
}

// crash loses everything.
func (n *node) crash() {
	n.gone()
	n.failing, n.giveUp, n.pending = false, false, nil
}

// settle ends a delivery.
func (n *node) settle(d *delivery.Delivery, o delivery.Outcome) {
	n.w.t.Logf("  %s settles %s %d/%s: %s", n.name, d.Type, d.Sequence, d.Incarnation, o)
	i := slices.Index(n.pending, d)
	if i < 0 {
		n.w.fail("%s settles %s %d/%s twice", n.name, d.Type, d.Sequence, d.Incarnation)
		return
	}
	n.pending = slices.Delete(n.pending, i, i+1)
	if o.Kind == delivery.OutcomeDone {
		n.giveUp = false
	}
	n.w.settle(n.actor, d, o)
	if len(n.pending) == 0 {
		n.gone()
	}
}

func (n *node) close() {
	n.gone()
	n.w.pump.system.Root.Stop(n.self)
}

// act runs the actors until each of them is idle or waits for an operation.
func (w *simulation) act() {
	w.pump.run()
	for _, n := range w.nodes {
		for w.expects(n.actor) {
			select {
			case op := <-w.arrivals:
				w.start(op)
			case <-w.pump.filled:
				w.pump.run()
			case <-time.After(patience):
				w.t.Fatalf("%s is busy without an operation", n.name)
			}
		}
	}
}

// expects reports whether background work of the actor will arrive.
func (w *simulation) expects(i *instance) bool {
	return i != nil && i.order.Busy() && !slices.ContainsFunc(w.running, func(op *operation) bool {
		return op.by == i && !op.call && !op.replied
	})
}
