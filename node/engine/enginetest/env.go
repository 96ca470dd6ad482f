package enginetest

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/actors/journal/journaltest"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/node/engine"
	"github.com/orderly-engine/orderly/node/timeline"
	"github.com/orderly-engine/orderly/supervision"
)

// stuckAfter is how long, on the bubble's clock, orders in memory may go without any progress before the test fails.
const stuckAfter = 30 * time.Minute

// Env is an engine in memory. Its methods, but for Run and Advance, may be called from step functions too.
type Env struct {
	t         testing.TB
	plan      *messages.Plan
	functions gateway.Functions
	journal   journaltest.Journal
	store     *store
	system    *actor.ActorSystem
	// node is there while orders are in memory.
	node *node

	// moved has an element when something happened since it was last looked at.
	moved chan struct{}
	// onKill is called once, when the first node was killed and before the next is there.
	onKill func()
	// around runs each call of a step function.
	around func(*Call, func())

	mu    sync.Mutex
	calls []*Call
	// points names those passed so far at which a node can die. killAt are the numbers of those, from 0, at which one does.
	points []string
	killAt []int
	// lost is the call that a node was killed before.
	lost *gateway.Call
}

// New makes an engine in memory that carries orders by the plan. It must be called inside synctest.Test, whose clock all
// waits go by. Steps must be functions; put one in the place of a URL with Plan.Step.
func New(t testing.TB, p engine.Plan) *Env {
	t.Helper()
	inBubble(t)
	system := newSystem()
	t.Cleanup(system.Shutdown)
	return newEnv(t, p, system)
}

// newSystem makes an actor system, which takes longer than all else that an Env needs.
func newSystem() *actor.ActorSystem { return supervision.NewSystem(slog.New(slog.DiscardHandler)) }

func newEnv(t testing.TB, p engine.Plan, system *actor.ActorSystem) *Env {
	t.Helper()
	e := &Env{
		t: t, store: &store{timers: map[messages.OrderID]messages.Timer{}}, system: system,
		moved: make(chan struct{}, 1), around: func(_ *Call, call func()) { call() },
	}
	var err error
	if e.plan, e.functions, err = p.Build(nil); err != nil {
		t.Fatalf("enginetest: %v", err)
	}
	for _, s := range e.plan.GetSteps() {
		for _, target := range []string{s.GetDo(), s.GetUndo()} {
			if name, ok := strings.CutPrefix(target, "func:"); ok {
				e.functions[name] = e.record(e.functions[name])
			} else if target != "" && !strings.HasPrefix(target, "sim:") {
				t.Fatalf("enginetest: step %[1]s calls %[2]s: put a function in its place, as in plan.Step(%[1]q).Do = engine.Function(f)", s.GetName(), target)
			}
		}
	}
	t.Cleanup(e.stopNode)
	return e
}

func inBubble(t testing.TB) {
	t.Helper()
	defer func() {
		if recover() != nil {
			t.Fatal("enginetest.New must be called inside synctest.Test")
		}
	}()
	synctest.Wait()
}

// Create publishes an order.
func (e *Env) Create(o engine.Order) {
	e.t.Helper()
	if _, err := messages.ParseOrderID(o.ID); err != nil {
		e.t.Errorf("enginetest: %v", err)
		return
	}
	m := o.Message()
	messages.Normalize(m)
	e.publish(o.ID, delivery.Delivery{Type: messages.TypeCreated, Created: m, Invalid: messages.Validate(m, messages.OrderID(o.ID))})
}

// Cancel publishes a cancel.
func (e *Env) Cancel(id, reason string) {
	e.publish(id, delivery.Delivery{Type: messages.TypeCancel, Cancel: &messages.CancelOrder{Reason: reason}})
}

// Signal publishes a signal. Data is any value that encoding/json can write, or nil.
func (e *Env) Signal(id, name string, data any) {
	e.t.Helper()
	value, err := messages.NewValue(data)
	if err != nil {
		e.t.Errorf("enginetest: signal %s: %v", name, err)
	}
	e.publish(id, delivery.Delivery{Type: messages.TypeSignal, Signal: &messages.SignalOrder{Name: name, Data: value}})
}

// Retry publishes that the step that needs attention is attempted again.
func (e *Env) Retry(id string) { e.publish(id, delivery.Delivery{Type: messages.TypeRetry}) }

// Skip publishes that the step that needs attention, or its undo, is passed over.
func (e *Env) Skip(id string) {
	e.publish(id, delivery.Delivery{Type: messages.TypeSkip, Skip: &messages.SkipStep{}})
}

func (e *Env) publish(id string, d delivery.Delivery) {
	d.OrderID, d.Stream = messages.OrderID(id), messages.StreamOrders
	e.store.publish(&message{Delivery: d})
	e.notify()
}

// Run carries all orders on until each has ended, needs attention, or waits for a signal. The clock jumps over other
// waits, such as those between attempts.
func (e *Env) Run() {
	e.t.Helper()
	e.run(time.Time{})
}

// Advance carries all orders on for d on the clock, the deadlines of pending steps included.
func (e *Env) Advance(d time.Duration) {
	e.t.Helper()
	end := time.Now().Add(d)
	e.run(end)
	time.Sleep(time.Until(end))
}

// Kill kills the node, as kill -9 does. After 5 s on the clock another one takes its messages over. It may be called from a
// step function, whose answer is then lost.
func (e *Env) Kill() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.node != nil {
		e.node.dead = true
		e.notify()
	}
}

// passes notes a point at which the node can die, and reports whether it is alive beyond it.
func (e *Env) passes(n *node, point string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n.dead {
		return false
	}
	n.dead = slices.Contains(e.killAt, len(e.points))
	e.points = append(e.points, point)
	e.notify()
	return !n.dead
}

func (e *Env) notify() {
	select {
	case e.moved <- struct{}{}:
	default:
	}
}

// run carries orders on until end, or, if that is zero, until nothing is left but to wait for signals.
func (e *Env) run(end time.Time) {
	e.t.Helper()
	waits := func(id messages.OrderID) bool { return end.IsZero() && e.view(id).ParkedFor == "pending" }
	for moved := time.Now(); ; {
		for _, d := range e.store.take() {
			e.startNode()
			e.node.deliver(d)
		}
		synctest.Wait()
		switch {
		case e.node == nil:
		case e.dead():
			e.stopNode()
			if e.onKill != nil {
				e.onKill()
				e.onKill = nil
			}
		case e.node.tree.Pending() == 0:
			e.stopNode()
		}
		now, next := time.Now(), e.store.next(waits)
		if next.IsZero() && e.node == nil || !end.IsZero() && !now.Before(end) {
			return
		}
		if next.IsZero() || !end.IsZero() && end.Before(next) {
			next = end
		}
		if e.node == nil {
			time.Sleep(time.Until(next))
			continue
		}
		stuck := moved.Add(stuckAfter)
		if next.IsZero() || stuck.Before(next) {
			next = stuck
		}
		select {
		case <-e.moved:
			moved = time.Now()
		case <-time.After(time.Until(next)):
			if !time.Now().Before(stuck) {
				e.t.Fatalf("enginetest: orders in memory made no progress for %s\n%s", stuckAfter, e.log())
			}
		}
	}
}

func (e *Env) dead() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.node.dead
}

func (e *Env) startNode() {
	if e.node != nil {
		return
	}
	n, err := newNode(e)
	if err != nil {
		e.t.Fatalf("enginetest: %v", err)
	}
	e.mu.Lock()
	e.node = n
	e.mu.Unlock()
}

// stopNode ends the node. What it held is delivered again after the acknowledgement wait.
func (e *Env) stopNode() {
	e.mu.Lock()
	n := e.node
	e.node = nil
	if n != nil {
		n.dead = true
	}
	e.mu.Unlock()
	if n != nil {
		n.stop()
		e.store.release()
	}
}

// undelivered keeps a call that a node was killed before.
func (e *Env) undelivered(c *gateway.Call) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lost = c
}

// Order returns the state and history of an order.
func (e *Env) Order(id string) *timeline.View {
	e.t.Helper()
	v := e.view(messages.OrderID(id))
	if v.Status == "" {
		e.t.Fatalf("enginetest: order %s does not exist: Create it and Run", id)
	}
	return v
}

// view is empty if there is no order.
func (e *Env) view(id messages.OrderID) *timeline.View {
	entries := e.journal.History(id)
	if len(entries) == 0 {
		return &timeline.View{}
	}
	v, err := timeline.New(entries)
	if err != nil {
		e.t.Fatalf("enginetest: %v", err)
	}
	return v
}

// WantStatus fails the test unless the order has the status: running, compensating, parked, attention, completed, rejected
// or cancelled.
func (e *Env) WantStatus(id, want string) {
	e.t.Helper()
	if v := e.Order(id); v.Status != want {
		e.t.Errorf("order %s is %s, want %s%s\n%s", id, v.Status, want, because(v), e.log())
	}
}

// because says why an order is where it is, as far as there is a reason.
func because(v *timeline.View) string {
	for _, reason := range []string{v.Reason, v.WaitsFor, v.LastError} {
		if reason != "" {
			return ": " + reason
		}
	}
	return ""
}

// DeadLetters returns the messages that could not take effect.
func (e *Env) DeadLetters() []DeadLetter {
	e.store.mu.Lock()
	defer e.store.mu.Unlock()
	return slices.Clone(e.store.dead)
}
