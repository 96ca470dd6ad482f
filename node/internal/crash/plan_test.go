package crash_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// plan is that of the built-in steps, except that one step in doubt is undone without being settled, and that no call
// waits for another one's end.
const plan = `name: order
version: 1
steps:
  - name: reserve_inventory
    do: nats://inventory.reserve
    undo: nats://inventory.release
    timeout: TIMEOUT
    retry: {initial: 60ms, max: 300ms, attempts: ATTEMPTS}
    limits: {concurrency: 8192}
  - name: authorize_payment
    do: nats://payments.authorize
    undo: nats://payments.void
    timeout: TIMEOUT
    retry: {initial: 60ms, max: 300ms, attempts: ATTEMPTS}
    limits: {concurrency: 8192}
    encoding: protobuf
  - name: create_shipment
    do: nats://shipping.create
    undo: nats://shipping.cancel
    in_doubt: undo
    timeout: TIMEOUT
    retry: {initial: 60ms, max: 300ms, attempts: ATTEMPTS}
    limits: {concurrency: 8192}
  - name: capture_payment
    do: nats://payments.capture
    timeout: TIMEOUT
    retry: {initial: 60ms, max: 300ms, attempts: ATTEMPTS}
    limits: {concurrency: 8192}
`

// steps of the plan; the last has no undo.
var steps = []string{"reserve_inventory", "authorize_payment", "create_shipment", "capture_payment"}

const (
	// patientCall is longer than a node is ever stopped: its calls have not run out when it goes on, and no service
	// seems to be out that is not.
	patientCall = 10 * time.Second
	// hastyCall finds out soon that a service is away.
	hastyCall = 500 * time.Millisecond
	// manyAttempts are never spent.
	manyAttempts = 1000
)

// plan writes the plan, for nodes that are started from now on, and returns its path.
func (w *world) plan(timeout time.Duration, attempts int) string {
	w.Helper()
	file := filepath.Join(w.dir, "plan.yaml")
	text := strings.NewReplacer("TIMEOUT", timeout.String(), "ATTEMPTS", strconv.Itoa(attempts)).Replace(plan)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
	return file
}
