package crash_test

import (
	"syscall"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/demo"
)

// SIGTERM under load: the node ends what it holds, and the next node finds nothing to take over.
func TestCrashDrain(t *testing.T) {
	t.Parallel()
	const drainTimeout = 30 * time.Second
	w := newTestEnv(t, newSeed(t), "ORDERLY_DRAIN_TIMEOUT="+drainTimeout.String())
	w.load.limit = rate.NewLimiter(250, 50)
	p := w.startAll(unreliable)
	w.load.add(600)
	natstest.Eventually(t, "half of the load is acknowledged", func() bool { return w.load.acknowledged.Load() > 300 })
	began := time.Now()
	p.signal(syscall.SIGTERM)
	if code := p.exitCode(drainTimeout + 10*time.Second); code != 0 {
		t.Errorf("exit code %d after SIGTERM\n%s", code, p.tail())
	}
	t.Logf("drained in %s", time.Since(began).Round(time.Millisecond))

	next := w.startReady()
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
	w := newTestEnv(t, newSeed(t), "ORDERLY_DRAIN_TIMEOUT=1m")
	// Each order takes longer than the test waits for the end of the drain.
	p := w.startAll(demo.Behavior{Latency: 4 * time.Second})
	w.load.add(300)
	natstest.Eventually(t, "the load is acknowledged", w.load.done)
	p.signal(syscall.SIGTERM)
	natstest.Eventually(t, "the node accepts no more orders", func() bool {
		status, _ := p.get("/readyz")
		return status != 200
	})
	if p.gone() {
		t.Fatal("the node ended at the first signal: there was nothing to drain")
	}
	began := time.Now()
	p.signal(syscall.SIGTERM)
	if code := p.exitCode(10 * time.Second); code != 0 {
		t.Errorf("exit code %d after the second SIGTERM\n%s", code, p.tail())
	}
	t.Logf("ended %s after the second signal", time.Since(began).Round(time.Millisecond))

	w.disturbances++
	w.behave(unreliable, false)
	next := w.startReady()
	j := w.finish()
	if a := j.nodes[next.id]; a == nil || a.takeovers[p.id] == 0 {
		t.Error("the drain was cut short, and yet the next node found nothing to take over")
	}
}
