// Package crash_test checks from the outside that no order is lost and no effect happens twice when processes die at any time.
//
// The node under test is the real binary, built with failpoints, in its own process. The test process simulates its
// environment: the downstream services, which log their effects to a file and can be away; a plain NATS client, which
// publishes each order until it is acknowledged; and an operator, who decides about orders in attention. Nodes are killed
// under load at random moments and at every failpoint, paused for longer than the ack wait, and drained. In the end the
// journal, the effects, the streams and the index are compared with what was published.
//
// CRASH_COUNT and CRASH_DURATION make a run longer, CRASH_SEED repeats its random choices.
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

	"github.com/orderly-engine/orderly/messages/natstest"
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "orderly-crash-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "orderly")
	// More than there are cores, for these tests mostly wait. -parallel on the command line overrides it.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, append(natstest.IgnoreServerGoroutines(), goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))...)
}

// binary is the path of the node under test.
var binary string

var build = sync.OnceValue(func() error {
	args := []string{"build", "-buildvcs=false", "-tags", "failpoints", "-o", binary}
	// Only on request: the race detector makes a node ten times slower, and all code of the node has tests of its own under it.
	if os.Getenv("CRASH_RACE") != "" {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "github.com/orderly-engine/orderly/node/orderly")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("build the node: %w\n%s", err, out)
	}
	return nil
})

// env parses an environment variable, or returns fallback without one.
func env[T any](t *testing.T, name string, parse func(string) (T, error), fallback T) T {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return fallback
	}
	v, err := parse(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return v
}

// size returns how many orders a test publishes, usual unless CRASH_COUNT is set, of which it takes one in share; and for how
// long it kills nodes at least.
func size(t *testing.T, share, usual int) (orders int, span time.Duration) {
	t.Helper()
	count := env(t, "CRASH_COUNT", strconv.Atoi, usual*share/raceFactor)
	return max(1, count/share), env(t, "CRASH_DURATION", time.ParseDuration, 0)
}

// newSeed is the seed of one test's random choices.
func newSeed(t *testing.T) uint64 {
	t.Helper()
	seed := env(t, "CRASH_SEED", func(s string) (uint64, error) { return strconv.ParseUint(s, 10, 64) }, rand.Uint64()>>1)
	t.Logf("CRASH_SEED=%d", seed)
	return seed
}
