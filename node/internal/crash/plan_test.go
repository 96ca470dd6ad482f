package crash_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// plan has the built-in steps, except that one step in doubt is undone without being settled, and that no call waits for the
// end of another one.
const plan = `name: order
version: 1
steps:
  - {name: reserve_inventory, do: nats://inventory.reserve, undo: nats://inventory.release, COMMON}
  - {name: authorize_payment, do: nats://payments.authorize, undo: nats://payments.void, encoding: protobuf, COMMON}
  - {name: create_shipment, do: nats://shipping.create, undo: nats://shipping.cancel, in_doubt: undo, COMMON}
  - {name: capture_payment, do: nats://payments.capture, COMMON}
`

const common = `timeout: TIMEOUT, retry: {initial: 60ms, max: 300ms, attempts: ATTEMPTS}, limits: {concurrency: 8192}`

// steps of the plan; the last has no undo.
var steps = []string{"reserve_inventory", "authorize_payment", "create_shipment", "capture_payment"}

const (
	// longTimeout is longer than a node is ever paused: so no call times out during a pause, and no circuit opens.
	longTimeout = 10 * time.Second
	// shortTimeout quickly detects that a service is unavailable.
	shortTimeout = 500 * time.Millisecond
	// manyAttempts are never spent.
	manyAttempts = 1000
)

// writePlan writes the plan of the nodes that are started from now on, and returns its path.
func (w *testEnv) writePlan(timeout time.Duration, attempts int) string {
	w.Helper()
	file := filepath.Join(w.dir, "plan.yaml")
	text := strings.NewReplacer("TIMEOUT", timeout.String(), "ATTEMPTS", strconv.Itoa(attempts)).Replace(strings.ReplaceAll(plan, "COMMON", common))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
	return file
}
