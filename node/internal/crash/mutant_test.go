package crash_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// mutants are builds that break a rule of acknowledgements, by a change of one file.
var mutants = map[string]struct {
	file, old, new string
	// runs are what a node of the build does: it gets messages about one order, the last of which is lost.
	runs [][]string
	// crashAt is where a node dies; without it a node is killed when the inbox is empty.
	crashAt string
}{
	"acknowledges before it journals": {
		file: "actors/deliver.go",
		old:  "o.startAppend(decision.Events, ",
		new:  "o.settle(d, delivery.Done())\n\t\to.startAppend(decision.Events, ",
		runs: [][]string{{validOrder}, {`{"order_id": "o-1"}`}},
		// The acknowledgement arrives within that time.
		crashAt: "before-accept:1:500ms",
	},
	"acknowledges a duplicate that is not in the ledger": {
		file: "ingress/held_delivery.go",
		old:  "if o.WithoutEffect {",
		new:  "if false {",
		runs: [][]string{{validOrder, validOrder}},
	},
}

const validOrder = `{"order_id": "o-1", "customer_id": "c", "items": [{"product_id": "p", "quantity": 1, "unit_price": 2}]}`

// Verify alone finds a build that acknowledges too early, once a node of it has died or not. It finds nothing wrong with a
// build that is killed at the same place and breaks no rule.
func TestVerifyFindsMutants(t *testing.T) {
	t.Parallel()
	if err := build(); err != nil {
		t.Fatal(err)
	}
	for name, m := range mutants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mutant := buildMutant(t, m.file, m.old, m.new)
			for _, bodies := range m.runs {
				if code, out := verifyAfter(t, binary, m.crashAt, bodies); code != 0 {
					t.Errorf("verify ends with %d for a build that breaks no rule\n%s", code, out)
				}
				want := fmt.Sprintf("message %d of ORDERS is lost: ", len(bodies))
				if code, out := verifyAfter(t, mutant, m.crashAt, bodies); code != 1 || !strings.Contains(out, want) {
					t.Errorf("verify ends with %d, want 1 and %q\n%s", code, want, out)
				}
			}
		})
	}
}

// verifyAfter returns how verify ends on the streams that a node has left behind, and what it prints.
func verifyAfter(t *testing.T, program, crashAt string, bodies []string) (code int, out string) {
	t.Helper()
	url := natstest.Start(t).ClientURL()
	runUntilKilled(t, program, url, crashAt, bodies)
	verify := exec.Command(program, "verify")
	verify.Env = []string{"NATS_URL=" + url, "HOME=" + t.TempDir()}
	printed, err := verify.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return verify.ProcessState.ExitCode(), string(printed)
}

// buildMutant builds the node with one file changed, and returns the path of the program.
func buildMutant(t *testing.T, file, old, changedTo string) string {
	t.Helper()
	original, err := filepath.Abs(filepath.Join("../../..", file))
	if err != nil {
		t.Fatal(err)
	}
	return buildChanged(t, map[string]string{original: replaceIn(t, original, old, changedTo)})
}

// replaceIn returns the content of a file with another text in place of old.
func replaceIn(t *testing.T, file, old, changedTo string) string {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(source), old) {
		t.Fatalf("%s does not have %q: change the test", file, old)
	}
	return strings.ReplaceAll(string(source), old, changedTo)
}

// buildChanged builds the node with other contents of files, by their absolute paths, and returns the path of the program.
func buildChanged(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	replace := map[string]string{}
	for file, content := range files {
		replace[file] = write(fmt.Sprintf("changed%d.go", len(replace)), []byte(content))
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "orderly")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-tags", "failpoints", "-overlay", write("overlay.json", overlay), "-o", program,
		"github.com/orderly-engine/orderly/node/orderly").CombinedOutput()
	if err != nil {
		t.Fatalf("build a changed node: %v\n%s", err, out)
	}
	return program
}

// runUntilKilled runs a node until it dies at its failpoint, or is killed when it has settled the messages.
func runUntilKilled(t *testing.T, program, url, crashAt string, bodies []string) {
	t.Helper()
	js := natstest.JetStream(t, natstest.Connect(t, url))
	dir := t.TempDir()
	node := exec.Command(program, "run")
	node.Env = []string{
		"NATS_URL=" + url, "HOME=" + dir, "ORDERLY_DATA_DIR=" + dir, "ORDERLY_HTTP_ADDR=" + natstest.FreeAddr(t), "ORDERLY_INDEX=off",
		"CRASH_AT=" + crashAt,
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- node.Wait() }()
	defer func() {
		_ = node.Process.Kill()
		<-exited //nolint:errcheck // it was killed
	}()
	for _, body := range bodies {
		natstest.Eventually(t, "the message is stored", func() bool {
			_, err := js.PublishMsg(natstest.Context(t), &nats.Msg{Subject: messages.SubjectOrder + "o-1", Data: []byte(body)})
			return err == nil
		})
	}
	if crashAt != "" {
		exited <- natstest.Receive(t, exited, "the end of the node")
		return
	}
	natstest.Eventually(t, "the inbox is empty", func() bool {
		s, err := js.Stream(natstest.Context(t), messages.StreamOrders)
		return err == nil && s.CachedInfo().State.Msgs == 0
	})
}
