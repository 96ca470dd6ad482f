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
	"github.com/orderly-engine/orderly/node/demo"
)

const (
	// portion is how many orders are added at first until the victim reaches its point.
	portion = 16
	// maxBacklog is how many messages may be in the inbox when more are added.
	maxBacklog = 64 * portion
	// portionTime is how long one portion is given.
	portionTime = 300 * time.Millisecond
	// linger is how long a node may stand at its point, so that what it sent before arrives.
	linger = 25 * time.Millisecond
	// reachLimit bounds the way to a point.
	reachLimit = time.Minute
	// together is how many points have one world: nodes die three times at each, and an order must not see more
	// deaths than a person would have to look into.
	together = 6
)

// Nodes die at each arrow of the flow, with the NATS they carry, or without: then what they sent before they died
// arrives.
func TestCrashPoints(t *testing.T) {
	t.Parallel()
	all := slices.DeleteFunc(slices.Clone(failpoint.All), func(p failpoint.Point) bool {
		// Attempts are never spent here, see TestCrashAttention; and messages come again all the time, see TestCrashPurge.
		return slices.Contains([]failpoint.Point{failpoint.BeforeAttention, failpoint.BeforePurge, failpoint.AfterPurge}, p)
	})
	for points := range slices.Chunk(all, together) {
		name := string(points[0]) + " to " + string(points[len(points)-1])
		t.Run("embedded/"+name, func(t *testing.T) {
			t.Parallel()
			dieAtPoints(newWorld(t, seed(t), impatient, parking), points)
		})
		t.Run("shared/"+name, func(t *testing.T) {
			t.Parallel()
			dieAtPoints(newSharedWorld(t, seed(t), impatient, parking), points)
		})
	}
}

// Nodes die around the purges of what they have settled, which are there only while nothing comes again.
func TestCrashPurge(t *testing.T) {
	t.Parallel()
	// Nothing is late even on a machine that has much else to do, and what is settled waits long for what is not.
	w := newWorld(t, seed(t), "ORDERLY_ACK_WAIT=3s", "ORDERLY_DURABILITY=strict")
	w.load.calm = true
	w.kill(w.open(demo.Behavior{}))
	for _, point := range []failpoint.Point{failpoint.BeforePurge, failpoint.AfterPurge} {
		w.dieAt(point, 1, 0, portions)
		w.dieAt(point, 2, linger, portions)
	}
	w.start().mustBeReady()
	w.finish()
}

// dieAtPoints fails for each point that is never reached.
func dieAtPoints(w *world, points []failpoint.Point) {
	w.load.signals = true
	behavior := demo.Behavior{Latency: 5 * time.Millisecond, Fail: 0.1, Reject: 0.01, Pending: 0.1, Finish: 100 * time.Millisecond}
	w.kill(w.open(behavior))
	for _, point := range points {
		first := portion
		if point == failpoint.HalfIndex {
			// The index stays behind orders under way: only what one writes that has none can be torn.
			w.rest()
			first = 1
		}
		w.dieAt(point, 1, 0, growing(first))
		w.dieAt(point, w.laterPass(point), 0, growing(portion))
		w.dieAt(point, w.laterPass(point), linger, growing(portion))
	}
	w.start().mustBeReady()
	w.finish()
}

// rest lets a node bring all to its end, and kills it then: the next one begins with nothing.
func (w *world) rest() {
	w.Helper()
	p := w.start()
	p.mustBeReady()
	eventually(w.T, stall, "the load is acknowledged", w.load.done)
	w.quiesce()
	w.kill(p)
}

// laterPass is some pass after the first, within what a portion or two bring about.
func (w *world) laterPass(point failpoint.Point) int {
	switch point {
	case failpoint.HalfBatch, failpoint.BeforeDeadLetter, failpoint.AfterDeadLetter, failpoint.BeforeSchedule, failpoint.AfterSchedule,
		failpoint.Reparked, failpoint.Woken, failpoint.Resumed, failpoint.HalfIndex:
		return 2 + w.rng.IntN(2)
	}
	return 2 + w.rng.IntN(20)
}

// pace says how many orders come next, and what time they are given, when so many messages are in the inbox.
type pace func(backlog uint64) (orders int, pause time.Duration)

// growing is first so many, then twice as many, and so on, for some points want more than one at a time. A machine that
// does not keep up is given time.
func growing(more int) pace {
	return func(backlog uint64) (int, time.Duration) {
		if backlog > maxBacklog {
			return 0, portionTime
		}
		orders := more
		more = min(2*more, 16*portion)
		return orders, portionTime
	}
}

// portions are as many at a time as make a purge worthwhile, and more only once all before them is settled.
func portions(backlog uint64) (int, time.Duration) {
	if backlog > 0 {
		return 0, linger
	}
	return 3 * portion, linger
}

// backlog is how many messages are in the inbox; as many as can be while nobody knows.
func (w *world) backlog() uint64 {
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	inbox, err := w.js.Stream(ctx, messages.StreamOrders)
	if err != nil {
		return math.MaxUint64
	}
	return inbox.CachedInfo().State.Msgs
}

// dieAt starts a node that dies at the given pass of the point, and adds orders until it does.
func (w *world) dieAt(point failpoint.Point, pass int, linger time.Duration, next pace) {
	w.Helper()
	p := w.start(fmt.Sprintf("CRASH_AT=%s:%d:%s", point, pass, linger))
	w.disturbances++
	began := time.Now()
	defer func() { w.Logf("%-20s pass %2d after %s", point, pass, time.Since(began).Round(time.Millisecond)) }()
	pause := portionTime
	for deadline := time.Now().Add(reachLimit); time.Now().Before(deadline); {
		if w.load.done() {
			var orders int
			orders, pause = next(w.backlog())
			w.load.add(orders)
		}
		select {
		case <-p.exited:
			if !p.killed() {
				w.Fatalf("%s was to die at %s:%d and ended otherwise: %v\n%s", p.id, point, pass, p.err, p.tail())
			}
			return
		case <-time.After(pause):
		}
	}
	w.Errorf("point %s:%d was not reached within %s", point, pass, reachLimit)
	p.kill()
}
