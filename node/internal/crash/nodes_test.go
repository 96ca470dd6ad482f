package crash_test

import (
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/time/rate"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/demo"
)

// appends counts what one node appends, while the test runs.
type appends struct{ entries, takeovers atomic.Int64 }

// watch counts what the node appends from now on.
func (w *testEnv) watch(p *process) *appends {
	w.Helper()
	a := &appends{}
	_, err := w.nc.Subscribe(messages.SubjectEvent+"*", func(m *nats.Msg) {
		entry := &messages.JournalEntry{}
		if proto.Unmarshal(m.Data, entry) != nil || entry.GetNode() != p.id {
			return
		}
		a.entries.Add(1)
		for _, e := range entry.GetEvents() {
			if e.GetResumed().GetCause() == "takeover" {
				a.takeovers.Add(1)
			}
		}
	})
	if err != nil {
		w.Fatal(err)
	}
	return a
}

// Two nodes share the orders; when one is killed the other one takes over.
func TestCrashTwoNodes(t *testing.T) {
	t.Parallel()
	w := newSharedTestEnv(t, newSeed(t))
	w.load.limit = rate.NewLimiter(250, 50)
	one, two := w.startAll(unreliable), w.startReady()
	ofOne, ofTwo := w.watch(one), w.watch(two)
	w.load.add(800)
	natstest.Eventually(t, "both nodes drive orders", func() bool { return ofOne.entries.Load() > 200 && ofTwo.entries.Load() > 200 })
	w.kill(one)
	began := time.Now()
	natstest.Eventually(t, "the other node takes over", func() bool { return ofTwo.takeovers.Load() > 0 })
	t.Logf("first order taken over by the other node %s after the kill (ack wait %s)", time.Since(began).Round(time.Millisecond), ackWait)

	// A third one joins and drives its share; it is killed too.
	three := w.startReady()
	ofThree := w.watch(three)
	w.load.add(400) // on a busy machine all orders may have ended by now
	natstest.Eventually(t, "the node that joined drives orders", func() bool { return ofThree.entries.Load() > 100 })
	w.kill(three)
	j := w.finish()
	if a := j.nodes[two.id]; a.takeovers[one.id] == 0 || a.open > 0 {
		t.Errorf("the surviving node: %+v", a)
	}
}

// Orders that one node parked are woken on time by another one that started after the first had died: after a retry delay, an
// outage, and a reply as a signal. No node had their state in memory.
func TestCrashWakeOnAnotherNode(t *testing.T) {
	t.Parallel()
	w := newSharedTestEnv(t, newSeed(t))
	w.writePlan(shortTimeout, manyAttempts)
	w.load.signals = true
	slow := demo.Behavior{Latency: 5 * time.Millisecond, Pending: 0.3, Finish: time.Second}
	one := w.startAll(slow)
	w.behave(slow, true)
	w.load.add(200)
	// Parked orders make trial calls, at growing intervals: on a slow machine it takes some time until none is in memory.
	natstest.Within(t, 3*stallLimit, "every order is acknowledged and none in memory", func() bool { return w.load.done() && one.inFlight() == 0 })
	w.kill(one)
	w.behave(slow, false)
	two := w.startReady()
	j := w.finish()
	a := j.nodes[two.id]
	// An order whose trial call was in flight at the kill was in memory, and is taken over.
	if a == nil || a.wakes[one.id] < 50 || a.wakes[one.id] <= 2*a.takeovers[one.id] || a.open > 0 {
		t.Errorf("the surviving node: %+v", a)
	}
}

// A node that is paused for longer than the ack wait resumes in the middle of its work, while another node drives its orders:
// it is fenced, drops them, and no effect happens twice.
func TestCrashPausedNode(t *testing.T) {
	t.Parallel()
	w := newSharedTestEnv(t, newSeed(t))
	w.load.limit = rate.NewLimiter(250, 50)
	slower := unreliable
	slower.Latency = 20 * time.Millisecond // more calls are in progress at any moment
	paused, other := w.startAll(slower), w.startReady()
	ofPaused, ofOther := w.watch(paused), w.watch(other)
	for round := range int64(2) {
		// Enough for the node to be in the middle of some orders when it is paused, however long the round before took.
		w.load.add(500)
		before := ofPaused.entries.Load()
		natstest.Eventually(t, "the node drives orders", func() bool { return ofPaused.entries.Load() > before+200 })
		taken := ofOther.takeovers.Load()
		paused.signal(syscall.SIGSTOP)
		w.disturbances++
		natstest.Eventually(t, "the other node takes over", func() bool { return ofOther.takeovers.Load() > taken })
		w.pause(0, ackWait)
		paused.signal(syscall.SIGCONT)
		natstest.Eventually(t, "the paused node is fenced", func() bool { return paused.metric("orderly_orders_fenced") > float64(round) })
	}
	w.load.end()
	w.quiesce()
	t.Logf("fenced: %v deliveries, %v appends", paused.metric("orderly_orders_fenced"), paused.metric("orderly_journal_append_fenced"))
	natstest.Eventually(t, "no node holds a delivery", func() bool { return paused.inFlight() == 0 && other.inFlight() == 0 })
	w.finish()
}

// A fenced node settles nothing (R4): with a nak, nodes would repeatedly take orders over from each other; with an
// acknowledgement, orders would be lost if the other node died.
func TestCrashFencedNodeSettlesNothing(t *testing.T) {
	t.Parallel()
	t.Run("no nak", func(t *testing.T) {
		t.Parallel()
		w, _ := startFenced(t)
		w.finish()
	})
	t.Run("no ack", func(t *testing.T) {
		t.Parallel()
		w, other := startFenced(t)
		w.kill(other)
		w.finish()
	})
}

// startFenced starts two nodes, the first of which has just been fenced from many orders by the other one.
func startFenced(t *testing.T) (w *testEnv, other *process) {
	w = newSharedTestEnv(t, newSeed(t))
	const orders = 150
	// So slow that every order is in the middle of a step when the node is paused, and nearly every one when it resumes.
	paused := w.startAll(demo.Behavior{Latency: longTimeout / 3})
	w.load.add(orders)
	natstest.Eventually(t, "the node holds the load", func() bool { return w.load.done() && paused.inFlight() > orders*3/4 })
	other = w.startReady()
	ofOther := w.watch(other)
	paused.signal(syscall.SIGSTOP)
	w.disturbances++
	began := time.Now()
	w.behave(demo.Behavior{Latency: 400 * time.Millisecond}, false)
	natstest.Eventually(t, "the other node takes many orders over", func() bool { return ofOther.takeovers.Load() > orders/3 })
	paused.signal(syscall.SIGCONT)
	// Each ack wait that ran out redelivered to the pull requests of the paused node too, and it takes over once for each.
	w.extraTakeovers = max(1, int(time.Since(began)/ackWait))
	natstest.Eventually(t, "the paused node is fenced", func() bool { return paused.metric("orderly_orders_fenced") > orders/4 })
	return w, other
}
