package crash_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/demo"
)

// A node is killed while it holds as many orders as it may, each in the middle of a slow call. The next node completes all.
func TestCrashFull(t *testing.T) {
	t.Parallel()
	full, _ := size(t, 10, 2048)
	// A part of the room is kept for wake-ups, and an ack wait of five seconds makes room for all.
	w := newTestEnv(t, newSeed(t), relaxed, "ORDERLY_ACK_WAIT=5s", "ORDERLY_MAX_IN_FLIGHT="+strconv.Itoa(full*5/4))
	const latency = longTimeout * 7 / 10
	p := w.startAll(demo.Behavior{Latency: latency})
	w.load.add(full * 17 / 16) // some are invalid, and end at once
	held := 0.0
	natstest.Within(t, time.Duration(len(steps))*latency, "the node is full before its first order ends", func() bool {
		held = p.inFlight()
		return held >= float64(full)
	})
	w.kill(p)
	began := time.Now()
	fast := demo.Behavior{Latency: 250 * time.Millisecond}
	w.behave(fast, false)
	next := w.startReady()
	ready := time.Since(began)
	j := w.finish()
	a := j.nodes[next.id]
	if a == nil || a.takeovers[p.id] < full*9/10 {
		t.Fatalf("the next node: %+v", a)
	}
	t.Logf("killed with %.0f deliveries in flight: ready %s after the kill, the first order taken over after %s, all %d orders ended after %s "+
		"(the calls alone take %s)", held, ready.Round(time.Millisecond), a.firstTakeover.Sub(began).Round(time.Millisecond),
		len(j.orders), j.end.Sub(began).Round(time.Millisecond), time.Duration(len(steps))*fast.Latency)
}
