package crash_test

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/node/demo"
)

// unreliable is how the services usually behave.
var unreliable = demo.Behavior{Latency: 5 * time.Millisecond, Fail: 0.05, Reject: 0.01}

// usualKills is how many a run has at least.
const usualKills = 6

// Nodes are killed at moments that nobody chose, again and again, also while they start.
func TestCrashRandom(t *testing.T) {
	t.Parallel()
	t.Run("strict", func(t *testing.T) {
		t.Parallel()
		killAtRandom(newWorld(t, seed(t), impatient), unreliable, never)
	})
	// Orders park: for answers that come later by a signal, and before most attempts after a failed one.
	t.Run("relaxed", func(t *testing.T) {
		t.Parallel()
		slow := unreliable
		slow.Pending, slow.Finish = 0.05, 200*time.Millisecond
		killAtRandom(newWorld(t, seed(t), "ORDERLY_DURABILITY=relaxed", impatient, parking), slow, never)
	})
	// A service goes away and comes back: nodes die that know of it, and others begin in the middle of it.
	t.Run("outages", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, seed(t), "ORDERLY_DURABILITY=relaxed", impatient)
		w.plan(hastyCall, manyAttempts)
		j := killAtRandom(w, unreliable, func(kills int) bool { return kills%4 == 1 || kills%4 == 2 })
		if n := j.parks[order.ParkOutage]; n < 20 {
			t.Errorf("orders parked %d times while payments were away", n)
		}
	})
}

// never is the service of payments away.
func never(int) bool { return false }

// killAtRandom kills nodes until the load has ended; away says whether payments are away between two kills.
func killAtRandom(w *world, behavior demo.Behavior, away func(kills int) bool) *journal {
	size := size(w.T, 3, scale{orders: 1500})
	w.load.signals = behavior.Pending > 0
	perSecond := 250.0 / heavy
	if size.span > 0 {
		perSecond = max(perSecond, 1.5*float64(size.orders)/size.span.Seconds())
	}
	w.load.limit = rate.NewLimiter(rate.Limit(perSecond), 50)
	p := w.open(behavior)
	w.load.add(size.orders)
	began := time.Now()
	for kills := 0; !w.load.done() || kills < usualKills || time.Since(began) < size.span || away(kills-1); kills++ {
		if w.load.done() && !away(kills) {
			w.load.add(max(1, int(perSecond)))
		}
		moment := 150 * time.Millisecond
		if w.rng.IntN(4) > 0 {
			p.mustBeReady()
			moment *= 4
		}
		w.pause(0, moment)
		w.behave(behavior, away(kills))
		w.pause(0, moment)
		w.kill(p)
		p = w.start()
	}
	p.mustBeReady()
	j := w.finish()
	w.recovery(j)
	return j
}

// recovery logs how long it took from the start of a node after a crash until the first order went on.
func (w *world) recovery(j *journal) {
	w.Helper()
	var first, again []time.Duration
	for _, p := range w.nodes[1:] {
		if a := j.nodes[p.id]; a != nil {
			first = append(first, a.first.Sub(p.started))
			if !a.firstTakeover.IsZero() {
				again = append(again, a.firstTakeover.Sub(p.started))
			}
		}
	}
	w.Logf("from start to the first order that goes on: %s; to the first one taken over from the dead: %s", spread(first), spread(again))
}

func spread(d []time.Duration) string {
	if len(d) == 0 {
		return "none"
	}
	slices.Sort(d)
	r := func(d time.Duration) string { return d.Round(time.Millisecond).String() }
	return r(d[0]) + " / " + r(d[len(d)/2]) + " / " + r(d[len(d)-1]) + " (least, median, most)"
}

// term stops a node in good order.
func (w *world) term(p *process) {
	w.Helper()
	p.signal(syscall.SIGTERM)
	if code := p.code(stopLimit); code != 0 {
		w.Errorf("%s exits with %d after SIGTERM\n%s", p.id, code, p.tail())
	}
}
