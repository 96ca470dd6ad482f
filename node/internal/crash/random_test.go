package crash_test

import (
	"slices"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/orderly-engine/orderly/node/audit/replay"
	"github.com/orderly-engine/orderly/node/demo"
)

// unreliable is how the services usually behave.
var unreliable = demo.Behavior{Latency: 5 * time.Millisecond, Fail: 0.05, Reject: 0.01}

// minKills is how many kills a run has at least.
const minKills = 6

// Nodes are killed at random moments, repeatedly, also while they start.
func TestCrashRandom(t *testing.T) {
	t.Parallel()
	never := func(int) bool { return false }
	t.Run("strict", func(t *testing.T) {
		t.Parallel()
		killAtRandom(newTestEnv(t, newSeed(t), shortAckWait), unreliable, never)
	})
	// Orders park: for replies that come later as a signal, and before most attempts after a failed one.
	t.Run("relaxed", func(t *testing.T) {
		t.Parallel()
		slow := unreliable
		slow.Pending, slow.Finish = 0.05, 200*time.Millisecond
		killAtRandom(newTestEnv(t, newSeed(t), relaxed, shortAckWait, shortHold), slow, never)
	})
	// A service is down for a while: nodes die during its outage, and others start during it.
	t.Run("outages", func(t *testing.T) {
		t.Parallel()
		w := newTestEnv(t, newSeed(t), relaxed, shortAckWait)
		w.writePlan(shortTimeout, manyAttempts)
		j := killAtRandom(w, unreliable, func(kills int) bool { return kills%4 == 1 || kills%4 == 2 })
		if n := j.parks[replay.WaitOutage]; n < 20 {
			t.Errorf("orders parked %d times while payments were unavailable", n)
		}
	})
}

// killAtRandom kills nodes until the load has ended; away reports whether payments are unavailable after that many kills.
func killAtRandom(w *testEnv, behavior demo.Behavior, away func(kills int) bool) *journal {
	orders, span := size(w.T, 3, 900)
	w.load.signals = behavior.Pending > 0
	perSecond := 250.0 / raceFactor
	if span > 0 {
		perSecond = max(perSecond, 1.5*float64(orders)/span.Seconds())
	}
	w.load.limit = rate.NewLimiter(rate.Limit(perSecond), 50)
	p := w.startAll(behavior)
	w.load.add(orders)
	began := time.Now()
	for kills := 0; !w.load.done() || kills < minKills || time.Since(began) < span || away(kills-1); kills++ {
		if w.load.done() && !away(kills) {
			w.load.add(max(1, int(perSecond)))
		}
		moment := 150 * time.Millisecond
		if w.rng.IntN(4) > 0 {
			p.ready()
			moment *= 4
		}
		w.pause(0, moment)
		w.behave(behavior, away(kills))
		if away(kills) { // long enough that calls time out, the circuit opens and orders park
			p.ready()
			w.pause(2*shortTimeout, 3*shortTimeout)
		}
		w.pause(0, moment)
		w.kill(p)
		p = w.startNode()
	}
	p.ready()
	j := w.finish()
	w.logRecovery(j)
	return j
}

// logRecovery logs how long it took from the start of a node after a crash until it appended the first entry.
func (w *testEnv) logRecovery(j *journal) {
	w.Helper()
	var first, taken []time.Duration
	for _, p := range w.nodes[1:] {
		if a := j.nodes[p.id]; a != nil {
			first = append(first, a.first.Sub(p.started).Round(time.Millisecond))
			if !a.firstTakeover.IsZero() {
				taken = append(taken, a.firstTakeover.Sub(p.started).Round(time.Millisecond))
			}
		}
	}
	for what, all := range map[string][]time.Duration{"entry": first, "takeover": taken} {
		if slices.Sort(all); len(all) > 0 {
			w.Logf("from a node's start to its first %s: least %s, median %s, most %s", what, all[0], all[len(all)/2], all[len(all)-1])
		}
	}
}
