// Package crash_test proves from the outside that no order is lost and none is acted on twice, whatever dies when.
//
// The victim is the real binary, built with crash points, in a process of its own. The world it works in is the test
// process: the downstream services, which keep a file of their effects and can go away, a plain NATS client that
// publishes orders and never gives one up, and a person who decides about those in attention. Nodes are killed under load
// at random moments and at every arrow of the flow, stopped for longer than the ack wait, and drained; in the end the
// journal, the effects, the streams and the list of orders are held against what was published.
//
// CRASH_COUNT and CRASH_DURATION make it longer, CRASH_SEED repeats a run's choices.
package crash_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "orderly-crash-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	victim = filepath.Join(dir, "orderly")
	// These tests mostly wait. -parallel on the command line outweighs this.
	if err := flag.Set("test.parallel", "3"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// victim is the path of the binary.
var victim string

var build = sync.OnceValue(func() error {
	args := []string{"build", "-buildvcs=false", "-tags", "failpoints", "-o", victim}
	// The race detector watches the victim on request only: it makes a node ten times slower, and what is tested here
	// is what dies with it. Every package of the node is tested under the detector in its own process.
	if os.Getenv("CRASH_RACE") != "" {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "github.com/orderly-engine/orderly/node/orderly")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("build the victim: %w\n%s", err, out)
	}
	return nil
})

// scale says how much is asked for.
type scale struct {
	orders int
	span   time.Duration
}

// size reads the scale of a test from the environment; its share of the orders is one in share.
func size(t *testing.T, share int, usual scale) scale {
	t.Helper()
	s := usual
	s.orders /= heavy
	if v := os.Getenv("CRASH_COUNT"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			t.Fatalf("CRASH_COUNT=%q: want a number of orders", v)
		}
		s.orders = max(1, n/share)
	}
	if v := os.Getenv("CRASH_DURATION"); v != "" {
		d, err := time.ParseDuration(v)
		if err != nil || d < 0 {
			t.Fatalf("CRASH_DURATION=%q: want a duration such as 10m", v)
		}
		s.span = d
	}
	return s
}

// seed is that of the run, for the choices of one test.
func seed(t *testing.T) uint64 {
	t.Helper()
	s := rand.Uint64() >> 1
	if v := os.Getenv("CRASH_SEED"); v != "" {
		var err error
		if s, err = strconv.ParseUint(v, 10, 64); err != nil {
			t.Fatalf("CRASH_SEED=%q: want a number", v)
		}
	}
	t.Logf("CRASH_SEED=%d", s)
	return s
}

// eventually polls until ok, or fails the test at the deadline.
func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}
