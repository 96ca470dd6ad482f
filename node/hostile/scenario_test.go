package hostile_test

import (
	"bytes"
	"os/exec"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/messages/natstest"
)

const (
	// memoryBound is the most resident memory of a node under any input.
	memoryBound = 512 << 20
	// slowdown is how much longer than in quiet times a well-behaved order may take, at the 99th percentile.
	slowdown = 10
	// rate is how many well-behaved orders are published per second, quietSamples how many of them before and after the input.
	rate         = 25
	quietSamples = 50
)

// leastQuiet is the lowest percentile of quiet times that is compared with. The short form runs beside other tests, on a machine whose other
// load changes between one measurement and the next. The full form has the machine to itself.
func leastQuiet() time.Duration {
	if full {
		return 50 * time.Millisecond
	}
	return 500 * time.Millisecond
}

// scenario is one hostile input.
type scenario struct {
	// name in a few words, for the output.
	name string
	// environ is added to the environment of the node.
	environ []string
	// valid: the input is orders that the node must carry out. Others wait behind them, so their time is not compared.
	valid bool
	// send sends the input, and returns when the node has taken it.
	send func(*harness)
}

// play plays a scenario and checks the node.
func play(t *testing.T, s scenario) {
	h := newHarness(t, s.environ)
	before := h.quiet()
	idle := h.node.memory()

	load := h.startLoad()
	began := time.Now()
	s.send(h)
	took := time.Since(began)
	under := load.stop()
	after := h.quiet()

	peak := h.node.memory()
	t.Logf("%s: sent in %.1f s; memory %s before, %s at the peak; p99 of orders %s and %s in quiet times, %s of %d meanwhile",
		s.name, took.Seconds(), mebibytes(idle), mebibytes(peak), before, after, percentile99(under), len(under))
	if peak > memoryBound {
		t.Errorf("the node used %s of memory: at most %s are allowed", mebibytes(peak), mebibytes(memoryBound))
	}
	bound := slowdown * max(before, after, leastQuiet())
	if p99 := percentile99(under); !s.valid && p99 > bound {
		t.Errorf("well-behaved orders took %s at the 99th percentile: at most %s are allowed", p99, bound)
	}
	h.verify()
	h.node.terminate()
}

// verify runs `orderly verify`, which proves from the streams that nothing is lost and nothing doubled.
func (h *harness) verify() {
	h.Helper()
	cmd := exec.Command(binary, "verify")
	cmd.Env = []string{"NATS_URL=" + h.url, "HOME=" + h.dir}
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("balanced")) {
		h.Errorf("verify: %v\n%s", err, out)
	}
}

// size is short in every test run and long in the full form.
func (h *harness) size(short, long int) int { return size(short, long) }

func size(short, long int) int {
	if full {
		return long
	}
	return short
}

// quiet is the 99th percentile of the time of well-behaved orders without any other input.
func (h *harness) quiet() time.Duration {
	h.Helper()
	load := h.startLoad()
	natstest.Eventually(h, "the well-behaved orders are published", func() bool { return load.published() >= quietSamples })
	return percentile99(load.stop())
}
