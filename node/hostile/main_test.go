package hostile_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/orderly-engine/orderly/messages/natstest"
)

// full runs the long form of each scenario.
var full = os.Getenv("HOSTILE_FULL") != ""

// binary is the path of the node under test.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "orderly-hostile-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "orderly")
	goleak.VerifyTestMain(m, append(natstest.IgnoreServerGoroutines(), goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))...)
}

// build builds the node as it is released, also under the race detector: its memory is measured.
var build = sync.OnceValue(func() error {
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "github.com/orderly-engine/orderly/node/orderly").CombinedOutput()
	if err != nil {
		return fmt.Errorf("build the node: %w\n%s", err, out)
	}
	return nil
})
