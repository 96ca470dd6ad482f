package downstream_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/orderly-engine/orderly/actors/downstream"
	"github.com/orderly-engine/orderly/messages"
)

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader := metric.NewManualReader()
		meter := metric.NewMeterProvider(metric.WithReader(reader)).Meter("test")
		s, limits := &fakeService{latency: time.Second}, &messages.Limits{Concurrency: 5}
		g := newGuard(t, s, limits, downstream.Config{Meter: meter, Hold: 3 * time.Second})
		defer g.Close()
		expect := func(when string, want map[string]int64) {
			t.Helper()
			if got := collect(t, reader); !maps.Equal(got, want) {
				t.Errorf("%s: %v, want %v", when, got, want)
			}
		}
		expect("at the start", map[string]int64{"circuit stock": 0, "waiting stock": 0})
		var r results
		for range 7 {
			g.Do(call("o-1", limits, messages.Do), r.add)
		}
		expect("over the limit", map[string]int64{"circuit stock": 0, "waiting stock": 2})
		time.Sleep(3 * time.Second)
		s.setLatency(0)
		openCircuit(t, g, s, errUnreachable)
		callStep(t, g, "o-1", limits)
		expect("out", map[string]int64{"circuit stock": 2, "waiting stock": 0, "circuit.opens stock no_reply": 1, "deferred stock outage": 1})
		time.Sleep(2 * time.Second)
		s.setError(nil)
		callStep(t, g, "o-1", limits)
		expect("on trial", map[string]int64{"circuit stock": 1, "waiting stock": 0, "circuit.opens stock no_reply": 1, "deferred stock outage": 1})
		callStep(t, g, "o-1", limits)
		callStep(t, g, "o-1", limits)
		time.Sleep(time.Minute)
		s.setLatency(10 * time.Second)
		for range 6 {
			g.Do(call("o-1", limits, messages.Do), r.add)
		}
		time.Sleep(5 * time.Second)
		expect("full", map[string]int64{
			"circuit stock": 0, "waiting stock": 0, "circuit.opens stock no_reply": 1, "deferred stock outage": 1, "deferred stock full": 1,
		})
		time.Sleep(time.Minute)
	})
}

// Openings and deferrals have their causes.
func TestMetricsOfCauses(t *testing.T) {
	fail := func(err error) func(*testing.T, *downstream.Guard, *fakeService) {
		return func(t *testing.T, g *downstream.Guard, s *fakeService) { openCircuit(t, g, s, err) }
	}
	causes := map[string]struct {
		open      func(*testing.T, *downstream.Guard, *fakeService)
		deferrals int64 // until the circuit is open, and the next call
	}{
		"no_reply": {fail(errTimeout), 1},
		"failure_rate": {func(t *testing.T, g *downstream.Guard, s *fakeService) {
			for i := range 100 {
				s.setError(errTimeout)
				if i%2 == 1 {
					s.setError(nil)
				}
				callStep(t, g, fmt.Sprintf("o-%d", i), nil)
			}
		}, 1},
		"setup": {func(t *testing.T, g *downstream.Guard, s *fakeService) {
			s.setError(errUnauthorized)
			for range 5 {
				callStep(t, g, "o-1", nil)
			}
		}, 6},
	}
	if got, want := documentedCauses(t, "orderly_circuit_opens_total"), slices.Sorted(maps.Keys(causes)); !slices.Equal(got, want) {
		t.Errorf("docs/operations.md has the causes %q of openings, want %q", got, want)
	}
	if got, want := documentedCauses(t, "orderly_downstream_deferred_total"), []string{"full", "outage", "setup"}; !slices.Equal(got, want) {
		t.Errorf("docs/operations.md has the causes %q of deferrals, want %q", got, want)
	}
	for name, c := range causes {
		synctest.Test(t, func(t *testing.T) {
			reader := metric.NewManualReader()
			s := &fakeService{}
			g := newGuard(t, s, nil, downstream.Config{Meter: metric.NewMeterProvider(metric.WithReader(reader)).Meter("test")})
			defer g.Close()
			c.open(t, g, s)
			callStep(t, g, "o-next", nil)
			deferred := "deferred stock outage"
			if name == "setup" {
				deferred = "deferred stock setup"
			}
			want := map[string]int64{"circuit stock": 2, "waiting stock": 0, "circuit.opens stock " + name: 1, deferred: c.deferrals}
			if got := collect(t, reader); !maps.Equal(got, want) {
				t.Errorf("%s: %v, want %v", name, got, want)
			}
		})
	}
}

// documentedCauses returns the causes that docs/operations.md lists for a metric, sorted.
func documentedCauses(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		_, list, ok := strings.Cut(line, "`cause` (")
		if !strings.HasPrefix(line, "|") || !strings.Contains(line, name) || !ok {
			continue
		}
		list, _, _ = strings.Cut(list, ")")
		causes := strings.Split(strings.ReplaceAll(list, "`", ""), ", ")
		slices.Sort(causes)
		return causes
	}
	t.Fatalf("docs/operations.md has no causes of %s", name)
	return nil
}

// collect returns the values by "instrument downstream [cause]", without the counters at 0.
func collect(t *testing.T, reader metric.Reader) map[string]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			var points []metricdata.DataPoint[int64]
			switch data := m.Data.(type) {
			case metricdata.Gauge[int64]:
				points = data.DataPoints
			case metricdata.Sum[int64]:
				points = data.DataPoints
			}
			for _, p := range points {
				name, _ := p.Attributes.Value("downstream")
				if _, counts := m.Data.(metricdata.Sum[int64]); counts && p.Value == 0 {
					continue
				}
				key := strings.TrimPrefix(strings.TrimPrefix(m.Name, "orderly."), "downstream.") + " " + name.AsString()
				if cause, ok := p.Attributes.Value("cause"); ok {
					key += " " + cause.AsString()
				}
				got[key] = p.Value
			}
		}
	}
	return got
}
