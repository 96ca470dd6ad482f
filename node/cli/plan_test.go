package cli

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
)

const twoSteps = `
name: gift
version: %d
steps:
  - {name: wrap, do: nats://%s.wrap, undo: nats://%s.unwrap, timeout: 1m}
  - {name: send, do: nats://%s.send, timeout: 1m}
`

// serveGiftSteps performs the steps of a plan with the prefix and records the calls. A wrap is pending until a signal.
func serveGiftSteps(t *testing.T, p *process, prefix string) func() []string {
	t.Helper()
	var mu sync.Mutex
	var called []string
	nc := p.connect(t)
	if _, err := nc.Subscribe(prefix+".*", func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		called = append(called, m.Subject)
		reply := `{"done": {}}`
		if strings.HasSuffix(m.Subject, ".wrap") {
			reply = `{"pending": {"signal": "wrapped"}}`
		}
		if err := m.Respond([]byte(reply)); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string{}, called...)
	}
}

// TestPlanChanges: a parked order continues with the plan it was accepted with, even if the node has another plan now; the
// same plan name and version with other content is refused.
func TestPlanChanges(t *testing.T) {
	t.Parallel()
	file := func(version int, prefix string) string {
		return "ORDERLY_PLAN=" + write(t, "plan.yaml", fmt.Sprintf(twoSteps, version, prefix, prefix, prefix))
	}
	first := start(t, nil, file(1, "old"))
	old := serveGiftSteps(t, first, "old")
	first.publish(t, sampleOrder("o-1"))
	first.waitStatus(t, "o-1", "parked")
	first.stop()
	if code := first.wait(t); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	if got := old(); len(got) != 1 || got[0] != "old.wrap" {
		t.Fatalf("called were %v: want old.wrap", got)
	}

	requireStartFailure(t, "plan gift v1 is registered with other content (step wrap: do: nats://old.wrap → nats://new.wrap; "+
		"step wrap: undo: nats://old.unwrap → nats://new.unwrap; step send: do: nats://old.send → nats://new.send): raise the version",
		nil, "ORDERLY_DATA_DIR="+first.dir, file(1, "new"))

	second := start(t, nil, "ORDERLY_DATA_DIR="+first.dir, "ORDERLY_NODE_ID=node-2", file(2, "new"))
	old, fresh := serveGiftSteps(t, second, "old"), serveGiftSteps(t, second, "new")
	second.publish(t, sampleOrder("o-2"))
	second.waitStatus(t, "o-2", "parked")
	for _, id := range []string{"o-1", "o-2"} {
		ok(t, second.environ, "signal", id, "wrapped")
		second.waitStatus(t, id, "completed")
	}
	if got := strings.Join(old(), " "); got != "old.send" {
		t.Errorf("of the old targets were called %s: want old.send, for the order that was accepted under the old plan", got)
	}
	if got := strings.Join(fresh(), " "); got != "new.wrap new.send" {
		t.Errorf("of the new targets were called %s: want new.wrap new.send", got)
	}
	// A node of another process is refused too, and does not wait for something to change.
	requireStartFailure(t, "plan gift v2 is registered with other content", nil, "NATS_URL="+second.url, file(2, "other"))
}

// TestFunctionTargetsAreRefused: a plan file with Go functions is refused by the orderly binary, which has none.
func TestFunctionTargetsAreRefused(t *testing.T) {
	path := write(t, "plan.yaml", "name: gift\nversion: 1\nsteps: [{name: wrap, do: 'func:wrap'}]")
	requireStartFailure(t, "step wrap: do: target func:wrap is a Go function, and this program has none", nil, "ORDERLY_PLAN="+path)
}

// TestInvalidPlanStopsTheStart: the node prints everything that is wrong with the plan, a line for each problem.
func TestInvalidPlanStopsTheStart(t *testing.T) {
	path := write(t, "plan.yaml", "name: gift\nsteps:\n  - {name: wrap, do: 'mailto:x'}\n  - {name: send, do: 'sim:', timeout: 1h}\n")
	p := startNoWait(t, nil, "ORDERLY_PLAN="+path)
	if code := p.wait(t); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{
		"line 1: version is missing", "line 3: step wrap: do: target has an unknown scheme", "line 4: step send: timeout is 1h0m0s: want 1ms–5m0s",
	} {
		if want := "orderly: ORDERLY_PLAN: plan file " + path + ": plan is invalid: " + want; !strings.Contains(p.err.String(), want) {
			t.Errorf("%s\nis missing in\n%s", want, p.err)
		}
	}
}
