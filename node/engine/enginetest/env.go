package enginetest

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/actors/journal/journaltest"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/engine"
	"github.com/orderly-engine/orderly/supervision"
)

// Env is an engine in memory. Its methods, except Run and Advance, may be called from step functions too.
type Env struct {
	t         testing.TB
	plan      *messages.Plan
	functions gateway.Functions
	journal   journaltest.Journal
	store     *store
	system    *actor.ActorSystem
	// node is the running node; nil while no order is in memory.
	node *node

	// moved has an element if an event occurred since the last receive.
	moved chan struct{}
	// onKill is called once, when the first node was killed and before the next one starts.
	onKill func()
	// around runs each call of a step function. answered, if set, replaces what the order gets for a call.
	around   func(*Call, func())
	answered answeredFunc

	mu    sync.Mutex
	calls []*Call
	// points names those passed so far at which a node can die. killAt are the numbers of those, from 0, at which one does.
	points []string
	killAt []int
	// lost is the call that a killed node was about to make.
	lost *gateway.Call
}

// answeredFunc gets the end of a call and returns what the order gets.
type answeredFunc func(*messages.StepReply, error) (*messages.StepReply, error)

// New makes an engine in memory that runs orders by the plan. It must be called inside synctest.Test, whose clock all waits
// use. Steps must be functions; put one in the place of a URL with Plan.Step.
func New(t testing.TB, p engine.Plan) *Env {
	t.Helper()
	inBubble(t)
	system := newSystem()
	t.Cleanup(system.Shutdown)
	return newEnv(t, p, system)
}

// newSystem makes an actor system, which takes longer than the rest of New.
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

// Run runs all orders until each has ended, needs attention, or waits for a signal. The clock jumps over other
// waits, such as those between attempts.
func (e *Env) Run() {
	e.t.Helper()
	e.run(time.Time{})
}

// Advance runs all orders for d of the clock, including past deadlines of pending steps.
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
