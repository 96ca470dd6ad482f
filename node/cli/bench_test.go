package cli

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestBenchRefusesZero: an explicit zero is refused and does not mean the default.
func TestBenchRefusesZero(t *testing.T) {
	t.Parallel()
	const parked = "--parked 500 "
	missing := filepath.Join(t.TempDir(), "missing") // so that nothing is measured if the value is accepted
	for args, want := range map[string]string{
		"-n 0":                   "orders is 0: want 1–10000000",
		"--rounds 0":             "rounds is 0: want 1–100",
		"--in-flight 0":          "in flight is 0: want 16–20000",
		"--rate 0":               "rate is 0: want 1–10000",
		"--samples 0":            "samples is 0: want 10–1000000",
		"--waiting 0":            "waiting is 0: want 100–10000",
		"--waiting -1":           "waiting is -1: want 100–10000",
		"--steps=grpc":           `steps "grpc": want func, nats or http`,
		"--parked 0":             "parked is 0: want 10–1000000",
		parked + "--in-flight 0": "in flight is 0: want 16–20000",
		parked + "--rate 0":      "rate is 0: want 1–10000",
		parked + "--ahead 2h":    "ahead is 2h0m0s: want 1s–1h0m0s",
	} {
		requireFailure(t, command(t, noServer, "", append([]string{"bench", "--dir", missing}, strings.Fields(args)...)...), exitUsage, want)
	}
}

// TestBench: a measurement too small to mean anything, in both forms. It needs no server and touches none.
func TestBench(t *testing.T) {
	t.Parallel()
	args := []string{"bench", "-n", "50", "--rounds", "1", "--in-flight", "32", "--rate", "500", "--samples", "10", "--waiting", "100",
		"--durability", "relaxed", "--dir", t.TempDir()}
	got := command(t, noServer, "", args...)
	if got.code != exitOK || !strings.Contains(got.out, "\n| relaxed | ") || strings.Contains(got.out, "| strict |") || !strings.Contains(got.err, "relaxed, round 1 of 1: ") {
		t.Errorf("exit code %d\n%s%s", got.code, got.out, got.err)
	}
	hasKeys(t, decode[map[string]any](t, ok(t, noServer, append(args, "-o", "json")...)),
		"cpus", "date", "go", "modes", "orders", "rate", "rounds", "steps", "system", "waiting_order")

	for _, steps := range []string{"nats", "http"} { // the run fails unless each step is called once for every order
		report := decode[map[string]any](t, ok(t, noServer, append(args, "--steps", steps, "-o", "json")...))
		if report["steps"] != steps {
			t.Errorf("steps %v: want %s", report["steps"], steps)
		}
	}
}
