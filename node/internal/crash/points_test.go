package crash_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/failpoint"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/demo"
)

const (
	// portion is how many orders are added at first until the node reaches its failpoint.
	portion = 16
	// maxBacklog is how many messages may be in the inbox when more are added.
	maxBacklog = 64 * portion
	// portionTime is the time until the next portion.
	portionTime = 300 * time.Millisecond
	// linger is how long a node stays at its failpoint, so that what it sent before arrives.
	linger = 25 * time.Millisecond
	// pointsPerWorld bounds the deaths that one order sees, three at each failpoint: too many would put it in attention.
	pointsPerWorld = 6
)

// Nodes die at each failpoint: with the NATS server they embed, and without one, so that what they sent before arrives.
func TestCrashPoints(t *testing.T) {
	t.Parallel()
	all := slices.DeleteFunc(slices.Clone(failpoint.All), func(p failpoint.Point) bool {
		// Attempts are never spent here, see TestCrashAttention; and redeliveries suspend purges, see TestCrashPurge.
		return slices.Contains([]failpoint.Point{failpoint.BeforeAttention, failpoint.BeforePurge, failpoint.AfterPurge}, p)
	})
	for points := range slices.Chunk(all, pointsPerWorld) {
		name := string(points[0]) + " to " + string(points[len(points)-1])
		t.Run("embedded/"+name, func(t *testing.T) {
			t.Parallel()
			dieAtPoints(newTestEnv(t, newSeed(t), shortAckWait, shortHold), points)
		})
		t.Run("shared/"+name, func(t *testing.T) {
			t.Parallel()
			dieAtPoints(newSharedTestEnv(t, newSeed(t), shortAckWait, shortHold), points)
		})
	}
}

// Nodes die around the purges of settled messages, which happen only while nothing is redelivered.
func TestCrashPurge(t *testing.T) {
	t.Parallel()
	// Long enough that nothing is redelivered on a busy machine.
	w := newTestEnv(t, newSeed(t), "ORDERLY_ACK_WAIT=3s", "ORDERLY_DURABILITY=strict")
	w.load.ordersOnly = true
	w.kill(w.startAll(demo.Behavior{}))
	for _, point := range []failpoint.Point{failpoint.BeforePurge, failpoint.AfterPurge} {
		w.dieAt(point, 1, 0, purgePace)
		w.dieAt(point, 2, linger, purgePace)
	}
	w.startReady()
	w.finish()
}

func dieAtPoints(w *testEnv, points []failpoint.Point) {
	w.load.signals = true
	w.kill(w.startAll(demo.Behavior{Latency: 5 * time.Millisecond, Fail: 0.1, Reject: 0.01, Pending: 0.1, Finish: 100 * time.Millisecond}))
	for _, point := range points {
		first := portion
		if point == failpoint.HalfIndex {
			// The index lags behind the journal while orders are in flight: only a write of the first order can be torn.
			w.endAll()
			first = 1
		}
		w.dieAt(point, 1, 0, doublingPace(first))
		w.dieAt(point, w.randomPass(point), 0, doublingPace(portion))
		w.dieAt(point, w.randomPass(point), linger, doublingPace(portion))
	}
	w.startReady()
	w.finish()
}

// endAll runs a node until all orders have ended, and kills it.
func (w *testEnv) endAll() {
	w.Helper()
	p := w.startReady()
	natstest.Eventually(w, "the load is acknowledged", w.load.done)
	w.quiesce()
	w.kill(p)
}

// randomPass is a pass after the first that one or two batches of orders reach.
func (w *testEnv) randomPass(point failpoint.Point) int {
	switch point {
	case failpoint.HalfBatch, failpoint.BeforeDeadLetter, failpoint.AfterDeadLetter, failpoint.BeforeLedger, failpoint.AfterLedger, failpoint.BeforeSchedule, failpoint.AfterSchedule,
		failpoint.Reparked, failpoint.Woken, failpoint.Resumed, failpoint.HalfIndex:
		return 2 + w.rng.IntN(2)
	}
	return 2 + w.rng.IntN(20)
}

// pace returns how many orders to add, and the pause until the next call, by the number of messages in the inbox.
type pace func(backlog uint64) (orders int, pause time.Duration)

// doublingPace doubles the number of orders each time, because some failpoints need more than one order at a time, and
// pauses on a slow machine.
func doublingPace(next int) pace {
	return func(backlog uint64) (int, time.Duration) {
		if backlog > maxBacklog {
			return 0, portionTime
		}
		orders := next
		next = min(2*next, 16*portion)
		return orders, portionTime
	}
}

// purgePace adds as many orders at a time as make a purge worthwhile, and more once all before them are settled.
func purgePace(backlog uint64) (int, time.Duration) {
	if backlog > 0 {
		return 0, linger
	}
	return 3 * portion, linger
}

// backlog is how many messages are in the inbox, a huge number while that is unknown.
func (w *testEnv) backlog() uint64 {
	ctx, cancel := context.WithTimeout(w.Context(), publishTimeout)
	defer cancel()
	inbox, err := w.js.Stream(ctx, messages.StreamOrders)
	if err != nil {
		return math.MaxUint64
	}
	return inbox.CachedInfo().State.Msgs
}

// dieAt starts a node that dies at the n-th pass of the failpoint, and adds orders until it does.
func (w *testEnv) dieAt(point failpoint.Point, pass int, linger time.Duration, next pace) {
	w.Helper()
	p := w.startNode(fmt.Sprintf("CRASH_AT=%s:%d:%s", point, pass, linger))
	w.disturbances++
	began := time.Now()
	pause := portionTime
	for deadline := began.Add(stallLimit); time.Now().Before(deadline); {
		if w.load.done() {
			var orders int
			orders, pause = next(w.backlog())
			w.load.add(orders)
		}
		select {
		case <-p.exited:
			if !p.killed() {
				w.Fatalf("%s was to die at %s:%d and ended otherwise: %s\n%s", p.id, point, pass, p.cmd.ProcessState, p.tail())
			}
			w.Logf("%-20s pass %2d after %s", point, pass, time.Since(began).Round(time.Millisecond))
			return
		case <-time.After(pause):
		}
	}
	w.Errorf("%s:%d was not reached within %s", point, pass, stallLimit)
	p.kill()
}
