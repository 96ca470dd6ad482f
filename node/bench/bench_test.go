package bench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/orderly-engine/orderly/node/bench"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tiny is a measurement that measures nothing, in a directory of its own.
func tiny(t *testing.T, modes ...bench.Mode) bench.Config {
	t.Helper()
	return bench.Config{Orders: 60, Rounds: 1, InFlight: 32, Rate: 500, Samples: 10, Waiting: 100, Dir: t.TempDir(), Modes: modes}
}

// TestRun: every figure is there, in both forms, and nothing is left in the directory.
func TestRun(t *testing.T) {
	cfg := tiny(t)
	var progress bytes.Buffer
	cfg.Progress = &progress
	report, err := bench.Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Modes) != 2 || report.Modes[0].Mode != bench.Relaxed || report.Modes[1].Mode != bench.Strict {
		t.Fatalf("modes: %+v", report.Modes)
	}
	for _, m := range report.Modes {
		if m.Raw.OrdersPerSecond <= 0 || m.Engine.OrdersPerSecond <= 0 || m.Raw.CPUPerOrder <= 0 || m.Engine.CPUPerOrder <= 0 || m.Ratio <= 0 ||
			!sensible(m.RawLatency) || !sensible(m.Latency) {
			t.Errorf("a figure is missing or makes no sense: %+v", m)
		}
	}
	if n := strings.Count(progress.String(), "\n"); n != 5 {
		t.Errorf("%d lines of progress: want a line per round, one per latency, and one for the memory\n%s", n, &progress)
	}
	if left, err := os.ReadDir(cfg.Dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, error %v", left, err)
	}
	checkText(t, report)
	checkJSON(t, report)
}

func sensible(l bench.Latency) bool { return 0 < l.P50 && l.P50 <= l.P95 && l.P95 <= l.P99 }

func checkText(t *testing.T, report *bench.Report) {
	t.Helper()
	var text bytes.Buffer
	if err := report.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^20\d\d-\d\d-\d\d, \w+/\w+, \d+ CPUs, go\S+; 60 orders of four func steps a round, medians of 1 rounds?; latency at 500 orders/s

\| durability \| raw loop, orders/s \| engine, orders/s \| engine / raw \| raw, CPU per order \| engine, CPU per order \| raw, p50 / p99 \| engine, p50 \| p95 \| p99 \|
\| --- (\| ---: ){9}\|
\| relaxed \| \d+ \| \d+ \| \d+\.\d\d (\| [\d.µms]+ ){2}\| [\d.µms]+ / [\d.µms]+ (\| [\d.µms]+ ){3}\|
\| strict \| \d+ \| \d+ \| \d+\.\d\d (\| [\d.µms]+ ){2}\| [\d.µms]+ / [\d.µms]+ (\| [\d.µms]+ ){3}\|

heap per waiting order: \d+ bytes of the engine's, besides \d+ bytes that server and client library hold for a raw delivery
$`).MatchString(text.String()) {
		t.Errorf("got\n%s", &text)
	}
}

func checkJSON(t *testing.T, report *bench.Report) {
	t.Helper()
	v := written(t, report)
	mode := v["modes"].([]any)[0]
	checkKeys(t, v, "cpus date go modes orders rate rounds steps system waiting_order")
	checkKeys(t, v["waiting_order"], "engine_bytes raw_bytes")
	checkKeys(t, mode, "engine latency mode ratio raw raw_latency")
	checkKeys(t, mode.(map[string]any)["raw"], "cpu_per_order_ns orders_per_second")
	checkKeys(t, mode.(map[string]any)["latency"], "p50_ns p95_ns p99_ns")
}

// written encodes a report as JSON and decodes it into a map.
func written(t *testing.T, report any) (v map[string]any) {
	t.Helper()
	body, err := json.Marshal(report)
	if err == nil {
		err = json.Unmarshal(body, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func checkKeys(t *testing.T, object any, want string) {
	t.Helper()
	if got := strings.Join(slices.Sorted(maps.Keys(object.(map[string]any))), " "); got != want {
		t.Errorf("keys are %s: want %s", got, want)
	}
}

// TestRunCallsServices: the steps can be those of services. Each is called once for every order, under the key of step and order.
func TestRunCallsServices(t *testing.T) {
	for _, steps := range []bench.Steps{bench.OverNATS, bench.OverHTTP} {
		cfg := tiny(t, bench.Relaxed)
		cfg.Steps, cfg.Index = steps, true
		var mu sync.Mutex
		calls := map[string]int{} // by target and key without the order
		keys := map[string]bool{}
		cfg.Observe(func(target, key string) {
			mu.Lock()
			defer mu.Unlock()
			_, step, _ := strings.Cut(key, "/")
			calls[target+" "+step]++
			keys[key] = true
		})
		report, err := bench.Run(t.Context(), cfg)
		if err != nil {
			t.Errorf("%s: %v", steps, err)
			continue
		}
		const orders = 60 + 60 + 10 // without an index, with one, and for the latency
		if want := map[string]int{
			"inventory.reserve reserve_inventory/do": orders, "payments.authorize authorize_payment/do": orders,
			"shipping.create create_shipment/do": orders, "payments.capture capture_payment/do": orders,
		}; !maps.Equal(calls, want) || len(keys) != 4*orders {
			t.Errorf("%s: %d keys, calls %v: want %v", steps, len(keys), calls, want)
		}
		var text bytes.Buffer
		if err := report.WriteText(&text); err != nil || !strings.Contains(text.String(), "; 60 orders of four "+string(steps)+" steps a round, ") {
			t.Errorf("error %v, got\n%s", err, &text)
		}
		if got := written(t, report)["steps"]; got != string(steps) {
			t.Errorf("steps in JSON: %v", got)
		}
	}
}

// TestRunStops: Run returns when its context ends, and leaves no files.
func TestRunStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	cfg := tiny(t, bench.Relaxed)
	if _, err := bench.Run(ctx, cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v: want that it was canceled", err)
	}
	if left, err := os.ReadDir(cfg.Dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, error %v", left, err)
	}
}

func TestValidate(t *testing.T) {
	if err := (bench.Config{}).Validate(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
	err := bench.Config{Orders: -1, Rounds: 101, InFlight: 1, Rate: 100_000, Samples: 1, Waiting: 20_000, Modes: []bench.Mode{"fast"}, Steps: "grpc"}.Validate()
	for _, want := range []string{"orders is -1: want 1–", "rounds is 101", "in flight is 1", "rate is 100000", "samples is 1", "waiting is 20000", `mode "fast": want relaxed or strict`, `steps "grpc": want func, nats or http`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %q in it", err, want)
		}
	}
	if _, err := bench.Run(t.Context(), bench.Config{Dir: "/nonexistent/here", Orders: 1}); err == nil {
		t.Error("a directory that does not exist is taken")
	}
}
