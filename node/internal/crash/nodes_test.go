package crash_test

import (
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/time/rate"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/demo"
)

// deeds counts live the entries and takeovers of one node.
type deeds struct{ entries, takeovers atomic.Int64 }

// watch counts what the nodes named append, while the test goes on.
func (w *world) watch(nodes ...*process) []*deeds {
	w.Helper()
	all := make([]*deeds, len(nodes))
	byName := map[string]*deeds{}
	for i, p := range nodes {
		all[i] = &deeds{}
		byName[p.id] = all[i]
	}
	_, err := w.nc.Subscribe(messages.SubjectEvent+"*", func(m *nats.Msg) {
		entry := &messages.JournalEntry{}
		if proto.Unmarshal(m.Data, entry) != nil {
			return
		}
		d := byName[entry.GetNode()]
		if d == nil {
			return
		}
		d.entries.Add(1)
		for _, e := range entry.GetEvents() {
			if e.GetResumed().GetCause() == "takeover" {
				d.takeovers.Add(1)
			}
		}
	})
	if err != nil {
		w.Fatal(err)
	}
	return all
}

// Two nodes side by side both carry orders; when one is killed the other one takes over.
func TestCrashTwoNodes(t *testing.T) {
	t.Parallel()
	w := newSharedWorld(t, seed(t))
	w.load.limit = rate.NewLimiter(250, 50)
	one := w.open(unreliable)
	two := w.start()
	two.mustBeReady()
	did := w.watch(one, two)
	w.load.add(1200)
	eventually(t, stall, "both nodes carry orders", func() bool {
		return did[0].entries.Load() > 200 && did[1].entries.Load() > 200
	})
	w.kill(one)
	began := time.Now()
	eventually(t, stall, "the other node takes over", func() bool { return did[1].takeovers.Load() > 0 })
	t.Logf("first order taken over by the other node %s after the kill (ack wait %s)", time.Since(began).Round(time.Millisecond), ackWait)

	// A third one joins and carries its share; it is killed too.
	three := w.start()
	three.mustBeReady()
	more := w.watch(three)
	w.load.add(600) // on a busy machine the others have nothing left by now
	eventually(t, stall, "the node that joined carries orders", func() bool { return more[0].entries.Load() > 100 })
	w.kill(three)
	j := w.finish()
	if a := j.nodes[two.id]; a.takeovers[one.id] == 0 || a.open > 0 {
		t.Errorf("the node that was left: %+v", a)
	}
}

// What one node parked another one wakes, on time, long after the first one is gone for good: the services' word to come
// back later, an outage, an answer that comes by a signal. Nothing about the order was in the memory of either.
func TestCrashWokenElsewhere(t *testing.T) {
	t.Parallel()
	w := newSharedWorld(t, seed(t))
	w.plan(hastyCall, manyAttempts)
	w.load.signals = true
	slow := demo.Behavior{Latency: 5 * time.Millisecond, Pending: 0.3, Finish: time.Second}
	one := w.open(slow)
	w.behave(slow, true)
	w.load.add(200)
	// Parked orders ask now and then whether the service is back, more rarely the longer it is away: on a slow machine it
	// takes a while until none is in memory.
	eventually(t, 3*stall, "every order is acknowledged and none in memory", func() bool {
		return w.load.done() && one.metric("orderly_deliveries_in_flight") == 0
	})
	w.kill(one)
	w.behave(slow, false)
	two := w.start()
	two.mustBeReady()
	j := w.finish()
	a := j.nodes[two.id]
	// An order that asked at the moment of the kill was in memory, and is taken over.
	if a == nil || a.wakes[one.id] < 50 || a.wakes[one.id] <= 2*a.takeovers[one.id] || a.open > 0 {
		t.Errorf("the node that was left: %+v", a)
	}
}

// A node that is stopped for longer than the ack wait goes on in the middle of whatever it did, and finds that its
// orders are another's: it is fenced, drops them, and nothing is done twice.
func TestCrashZombie(t *testing.T) {
	t.Parallel()
	w := newSharedWorld(t, seed(t))
	w.load.limit = rate.NewLimiter(250, 50)
	slower := unreliable
	slower.Latency = 20 * time.Millisecond // more calls are under way at any moment
	zombie := w.open(slower)
	other := w.start()
	other.mustBeReady()
	did := w.watch(zombie, other)
	for round := range int64(2) {
		// Enough that the node is in the middle of some orders when it is stopped, however long the round before took.
		w.load.add(600)
		before := did[0].entries.Load()
		eventually(t, stall, "the node carries orders", func() bool { return did[0].entries.Load() > before+200 })
		taken := did[1].takeovers.Load()
		zombie.signal(syscall.SIGSTOP)
		w.disturbances++
		eventually(t, stall, "the other node takes over", func() bool { return did[1].takeovers.Load() > taken })
		w.pause(0, ackWait)
		zombie.signal(syscall.SIGCONT)
		eventually(t, stall, "the node that was stopped is fenced", func() bool { return zombie.metric("orderly_orders_fenced") > float64(round) })
	}
	w.load.end()
	w.quiesce()
	t.Logf("fenced: %v deliveries, %v appends", zombie.metric("orderly_orders_fenced"), zombie.metric("orderly_journal_append_fenced"))
	eventually(t, stall, "no node holds a delivery", func() bool {
		return zombie.metric("orderly_deliveries_in_flight") == 0 && other.metric("orderly_deliveries_in_flight") == 0
	})
	w.finish()
}

// A fenced node lets go without a word. Were it to refuse its deliveries, orders would be torn to and fro between the
// two; were it to acknowledge them, the death of the node that took over would lose orders.
func TestCrashZombieSilent(t *testing.T) {
	t.Parallel()
	t.Run("refuses nothing", func(t *testing.T) {
		t.Parallel()
		w, _ := fence(t)
		w.finish()
	})
	t.Run("acknowledges nothing", func(t *testing.T) {
		t.Parallel()
		w, other := fence(t)
		w.kill(other)
		w.finish()
	})
}

// fence returns a world with two nodes in which the first one has just been fenced from many orders by the other one.
func fence(t *testing.T) (w *world, other *process) {
	w = newSharedWorld(t, seed(t))
	w.spare = 1
	const orders = 150
	// So slow that every order is in the middle of a step when the node is stopped, and nearly every one when it goes on.
	zombie := w.open(demo.Behavior{Latency: patientCall / 3})
	w.load.add(orders)
	eventually(t, stall, "the node holds the load", func() bool {
		return w.load.done() && zombie.metric("orderly_deliveries_in_flight") > orders*3/4
	})
	other = w.start()
	other.mustBeReady()
	did := w.watch(other)

	zombie.signal(syscall.SIGSTOP)
	w.disturbances++
	w.behave(demo.Behavior{Latency: 400 * time.Millisecond}, false)
	eventually(t, stall, "the other node takes many orders over", func() bool { return did[0].takeovers.Load() > orders/3 })
	zombie.signal(syscall.SIGCONT)
	eventually(t, stall, "the node that was stopped is fenced", func() bool { return zombie.metric("orderly_orders_fenced") > orders/4 })
	return w, other
}

// metric is the sum of the metric's values, by the beginning of its name; -1 when it is not there.
func (p *process) metric(prefix string) float64 {
	_, body := p.get("/metrics")
	sum, found := 0.0, false
	for line := range strings.Lines(body) {
		if !strings.HasPrefix(line, prefix) {
			continue
		}
		fields := strings.Fields(line)
		if v, err := strconv.ParseFloat(fields[len(fields)-1], 64); err == nil {
			sum, found = sum+v, true
		}
	}
	if !found {
		return -1
	}
	return sum
}
