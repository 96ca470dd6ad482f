package bench_test

import (
	"bytes"
	"regexp"
	"testing"

	"github.com/orderly-engine/orderly/node/bench"
)

// TestIndex: on request each round is also run with an index, and reported as text and JSON.
func TestIndex(t *testing.T) {
	cfg := tiny(t, bench.Relaxed)
	cfg.Index = true
	var progress, text bytes.Buffer
	cfg.Progress = &progress
	report, err := bench.Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	got := report.Modes[0].Index
	if got == nil || got.OrdersPerSecond <= 0 || got.CPUPerOrder <= 0 || got.Ratio <= 0 || got.Behind <= 0 {
		t.Errorf("a figure is missing: %+v", got)
	}
	if err := report.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`\| with / without \|.*\n.*\n\| relaxed \| \d+ \| \d+\.\d\d \| \S+ \| \S+ \|\n`).MatchString(text.String()) {
		t.Errorf("got\n%s", &text)
	}
	if !regexp.MustCompile(`; with index \d+ orders/s, ratio \d+\.\d\d, lag at most \S+\n`).MatchString(progress.String()) {
		t.Errorf("got\n%s", &progress)
	}
}
