package bench_test

import (
	"bytes"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/bench"
)

// Every parked order resumes once and not early, or the measurement fails, and every figure is reported.
func TestRunParked(t *testing.T) {
	t.Parallel()
	cfg := bench.ParkedConfig{
		Orders: 60, Window: 200 * time.Millisecond, Ahead: 6 * time.Second, Idle: 100 * time.Millisecond, InFlight: 128, Rate: 100, Dir: t.TempDir(),
	}
	var progress bytes.Buffer
	cfg.Progress = &progress
	report, err := bench.RunParked(t.Context(), cfg)
	for errors.Is(err, bench.ErrTooSlow) && cfg.Ahead < natstest.Patience {
		progress.Reset()
		cfg.Ahead *= 2
		report, err = bench.RunParked(t.Context(), cfg)
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Modes) != 2 || report.Modes[0].Mode != bench.Relaxed || report.Modes[1].Mode != bench.Strict {
		t.Fatalf("modes: %+v", report.Modes)
	}
	for _, m := range report.Modes {
		w := m.Wakes
		if m.Parking.Took <= 0 || m.Parking.CPUPerOrder <= 0 || m.Waking.Took <= 0 || m.Waking.CPUPerOrder <= 0 || m.PeakBytes == 0 ||
			w.First < 0 || w.P50 < w.First || w.P99 < w.P50 || w.Last < w.P99 || w.AllEnded < w.AllResumed ||
			m.OthersCount == 0 || m.Others.P50 <= 0 || m.Others.P99 < m.Others.P95 {
			t.Errorf("a figure is missing or makes no sense: %+v", m)
		}
	}
	if n := strings.Count(progress.String(), "\n"); n != 4 {
		t.Errorf("%d lines of progress: want two for each durability\n%s", n, &progress)
	}
	if left, err := os.ReadDir(cfg.Dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, error %v", left, err)
	}
	checkParkedText(t, report)
	checkParkedJSON(t, report)
}

func checkParkedText(t *testing.T, report *bench.ParkedReport) {
	t.Helper()
	var text bytes.Buffer
	if err := report.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^20\d\d-\d\d-\d\d, \w+/\w+, \d+ CPUs, go\S+; 60 orders parked, due within 200ms; 100 other orders/s during the wake-ups

\| durability \| relaxed \| strict \|
\| --- \| ---: \| ---: \|
(\| [^|]+ \| [^|]+ \| [^|]+ \|
){13}$`).MatchString(text.String()) {
		t.Errorf("got\n%s", &text)
	}
}

func checkParkedJSON(t *testing.T, report *bench.ParkedReport) {
	t.Helper()
	v := written(t, report)
	mode := v["modes"].([]any)[0]
	checkKeys(t, v, "cpus date go modes orders rate system window_ns")
	checkKeys(t, mode, "empty_cpu engine_bytes_per_order idle_cpu mode others others_count parking peak_bytes server_bytes_per_order wakes waking")
	checkKeys(t, mode.(map[string]any)["waking"], "cpu_per_order_ns took_ns")
	checkKeys(t, mode.(map[string]any)["wakes"], "all_ended_ns all_resumed_ns first_ns last_ns p50_ns p99_ns takeovers")
}

// A timer that is due before all orders are parked fails the measurement.
func TestRunParkedTooSlow(t *testing.T) {
	t.Parallel()
	_, err := bench.RunParked(t.Context(), bench.ParkedConfig{
		Orders: 30_000, Ahead: time.Second, Idle: time.Millisecond, Dir: t.TempDir(), Modes: []bench.Mode{bench.Strict},
	})
	if !errors.Is(err, bench.ErrTooSlow) {
		t.Errorf("error %v, want %v", err, bench.ErrTooSlow)
	}
}

func TestValidateParked(t *testing.T) {
	if err := (bench.ParkedConfig{}).Validate(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
	err := bench.ParkedConfig{Orders: -1, Window: -1, Ahead: 1, Idle: -1, InFlight: 1, Rate: -1, Modes: []bench.Mode{"fast"}}.Validate()
	for _, want := range []string{"parked is -1: want 10–", "window is -1ns", "ahead is 1ns: want 1s–", "idle is -1ns", "in flight is 1", "rate is -1", `mode "fast": want relaxed or strict`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %q in it", err, want)
		}
	}
}
