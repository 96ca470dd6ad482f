package crash_test

import (
	"syscall"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/orderly-engine/orderly/node/demo"
)

// SIGTERM under load: the node carries on with what it holds, and ends with nothing in its hands.
func TestCrashDrain(t *testing.T) {
	t.Parallel()
	const drainTimeout = 30 * time.Second
	w := newWorld(t, seed(t), "ORDERLY_DRAIN_TIMEOUT="+drainTimeout.String())
	w.load.limit = rate.NewLimiter(250, 50)
	p := w.open(unreliable)
	w.load.add(900)
	eventually(t, stall, "a third of the load is acknowledged", func() bool { return w.load.acknowledged.Load() > 300 })
	began := time.Now()
	p.signal(syscall.SIGTERM)
	if code := p.code(drainTimeout + 10*time.Second); code != 0 {
		t.Errorf("exit code %d after SIGTERM\n%s", code, p.tail())
	}
	t.Logf("drained in %s", time.Since(began).Round(time.Millisecond))

	next := w.start()
	next.mustBeReady()
	j := w.finish()
	if a := j.nodes[p.id]; a == nil || a.entries == 0 {
		t.Errorf("%s did nothing before it was stopped", p.id)
	}
	if a := j.nodes[next.id]; a == nil || a.takeovers[p.id] > 0 {
		t.Errorf("the node drained, and yet the next one took orders over from it: %+v", a)
	}
}

// A second signal ends the drain at once, and loses nothing.
func TestCrashDrainAborted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seed(t), "ORDERLY_DRAIN_TIMEOUT=1m")
	// Each order takes longer than the test has patience for the drain.
	p := w.open(demo.Behavior{Latency: 4 * time.Second})
	w.load.add(300)
	eventually(t, stall, "the load is acknowledged", w.load.done)
	p.signal(syscall.SIGTERM)
	eventually(t, stall, "the node takes no more orders", func() bool {
		status, _ := p.get("/readyz")
		return status != 200
	})
	if p.gone() {
		t.Fatal("the node ended at the first signal: there was nothing to drain")
	}
	began := time.Now()
	p.signal(syscall.SIGTERM)
	if code := p.code(10 * time.Second); code != 0 {
		t.Errorf("exit code %d after the second SIGTERM\n%s", code, p.tail())
	}
	t.Logf("ended %s after the second signal", time.Since(began).Round(time.Millisecond))

	w.disturbances++
	if err := w.services.Set(demo.All(unreliable)); err != nil {
		t.Fatal(err)
	}
	next := w.start()
	next.mustBeReady()
	j := w.finish()
	if a := j.nodes[next.id]; a == nil || a.takeovers[p.id] == 0 {
		t.Error("the drain was cut short, and yet the next node found nothing to take over")
	}
}
