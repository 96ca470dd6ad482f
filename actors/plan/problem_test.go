package plan_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/actors/plan"
)

// problemsOf loads an invalid plan file and returns what is wrong with it, a line for each problem.
func problemsOf(t *testing.T, text string) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plan.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := plan.Load(path, knownTarget)
	var invalid *plan.InvalidError
	if !errors.As(err, &invalid) || !errors.Is(err, plan.ErrInvalid) {
		t.Fatalf("got %v, want an InvalidError", err)
	}
	prefix := "plan file " + path + ": plan is invalid: "
	lines := strings.Split(err.Error(), "\n")
	for i, line := range lines {
		rest, ok := strings.CutPrefix(line, prefix)
		if !ok {
			t.Errorf("line %q does not begin with the file", line)
		}
		lines[i] = rest
		if i < len(invalid.Problems) && invalid.Problems[i].String() != rest {
			t.Errorf("line %q is not problem %+v", line, invalid.Problems[i])
		}
	}
	return lines
}

// TestEveryProblemIsReported: one look at a file shows everything that is wrong with it, and nothing that only follows from
// something else.
func TestEveryProblemIsReported(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"all over the file": {`
name: Order
version: one
stages: 3
steps:
  - name: wrap
    do: ftp://wrap
    undo: [nats://unwrap]
    timeout: 2
    in_doubt: undo
    retry: {initial: 0s, max: 25h, attempts: many, first: 1s}
  - name: wrap
    undo: mailto:x
    limits: {concurrency: all, rate: -1}
    encoding: xml
  - send
  - name: send
    do: nats://wrap.send
    retry: []
    retry: {}
`, []string{
			`line 2: name "Order": want 1–64 characters of a–z 0–9 _ beginning with a letter`,
			`line 3: version: "one" is not a whole number from 0 to 4294967295`,
			`line 4: field "stages" is unknown: want name, version, steps`,
			`line 7: step wrap: do: target "ftp://wrap" is not known`,
			`line 8: step wrap: undo: want a text`,
			`line 9: step wrap: timeout: "2" is not a duration such as 100ms, 2s or 1m30s`,
			`line 11: step wrap: retry.attempts: "many" is not a whole number from 0 to 4294967295`,
			`line 11: step wrap: retry: field "first" is unknown: want initial, max, attempts`,
			`line 11: step wrap: retry.initial is 0s: want 1ms–24h0m0s`,
			`line 11: step wrap: retry.max is 25h0m0s: want 1ms–24h0m0s`,
			`line 12: step 2: name "wrap" is the name of step 1 already`,
			`line 12: step 2: do is missing: want a target such as nats://inventory.reserve`,
			`line 13: step 2: undo: target "mailto:x" is not known`,
			`line 14: step 2: limits.concurrency: "all" is not a whole number from 0 to 4294967295`,
			`line 14: step 2: limits.rate is -1: want 0 (no limit), or 0.001 to 1000000 calls per second`,
			`line 15: step 2: encoding: "xml" is not json or protobuf`,
			`line 16: step 3: want fields (name, do, undo, timeout, retry, limits, in_doubt, encoding, reply, undo_reply, nothing_to_undo)`,
			`line 19: step send: retry: want fields (initial, max, attempts)`,
			`line 20: step send: field "retry" is given twice`,
		}},
		"limits of one service": {`
name: order
version: 1
steps:
  - {name: a, do: "nats://s.a", limits: {concurrency: all}}
  - {name: b, do: "nats://s.b", limits: {rate: 2}}
  - {name: c, do: "nats://s.c", limits: {rate: 3, concurrency: 1}}
`, []string{
			`line 5: step a: limits.concurrency: "all" is not a whole number from 0 to 4294967295`,
			`line 7: step c: limits.concurrency is 1, and that of step b is 256: they share the downstream s: make them agree, or leave one out`,
			`line 7: step c: limits.rate is 3, and that of step b is 2: they share the downstream s: make them agree, or leave one out`,
		}},
		"nothing": {"{}", []string{
			`line 1: name "": want 1–64 characters of a–z 0–9 _ beginning with a letter`,
			`line 1: version is missing or 0: want at least 1`,
			`line 1: steps: there are 0: want 1–64`,
		}},
	} {
		if got := problemsOf(t, c.text); !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %s\nwant %s", name, strings.Join(got, "\n     "), strings.Join(c.want, "\n     "))
		}
	}
}

func TestListOfProblemsIsBounded(t *testing.T) {
	var text strings.Builder
	text.WriteString("name: order\nversion: 1\nsteps: [{name: a, do: 'sim:'}]\n")
	for i := range 120 {
		fmt.Fprintf(&text, "field%d: 1\n", i)
	}
	got := problemsOf(t, text.String())
	if len(got) != 101 || got[0] != `line 4: field "field0" is unknown: want name, version, steps` || got[100] != "and 20 more" {
		t.Errorf("%d lines, from %q to %q", len(got), got[0], got[len(got)-1])
	}
}

// TestWarnings: what is allowed and often goes wrong; the built-in plan has none of it.
func TestWarnings(t *testing.T) {
	known := func(string) error { return nil }
	load := func(text string, hold time.Duration) []string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "plan.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, warnings, err := plan.LoadWithWarnings(path, known, hold)
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, w := range warnings {
			lines = append(lines, w.String())
		}
		return lines
	}
	if got := load(builtinYAML, 10*time.Second); got != nil {
		t.Errorf("the built-in plan has warnings: %s", got)
	}
	text := `
name: order
version: 1
steps:
  - name: a
    do: http://127.0.0.1:80/do
    timeout: 11s
  - name: b
    do: http://shop/do
    undo: http://10.0.0.1/undo
    retry: {attempts: 1}
  - {name: c, do: "https://shop/do", undo: "http://[::1]/undo"}
  - {name: d, do: "http://localhost/do", undo: "http://a.localhost/undo", timeout: 30s}
  - {name: e, do: "nats://e", timeout: 31s}
`
	const (
		noUndo    = `line 5: step a: there is no undo, and later steps may be refused: what the step did is kept then; give it an undo, or move it to the end`
		clearDo   = `line 9: step b: do is http:// to another host: orders, answers and credentials cross the network unencrypted; use https://`
		clearUndo = `line 10: step b: undo is http:// to another host: orders, answers and credentials cross the network unencrypted; use https://`
		attempts  = `line 11: step b: retry.attempts is 1: a single lost answer stops the order until a person decides; want 2 or more`
	)
	long := func(line int, step, is, limit string) string {
		return fmt.Sprintf("line %d: step %s: timeout is %s, more than %s: a service that hangs holds its orders in memory that long; let slow work answer pending", line, step, is, limit)
	}
	for hold, want := range map[time.Duration][]string{
		0: {noUndo, clearDo, clearUndo, attempts, long(14, "e", "31s", "30s")},
		10 * time.Second: {
			noUndo, long(7, "a", "11s", "10s"), clearDo, clearUndo, attempts, long(13, "d", "30s", "10s"), long(14, "e", "31s", "10s"),
		},
	} {
		if got := load(text, hold); !slices.Equal(got, want) {
			t.Errorf("hold %s:\n got %s\nwant %s", hold, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
		}
	}
}
