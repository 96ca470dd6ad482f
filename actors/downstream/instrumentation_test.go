package downstream_test

import (
	"maps"
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
		expect("out", map[string]int64{"circuit stock": 2, "waiting stock": 0, "circuit.opens stock": 1, "deferred stock outage": 1})
		time.Sleep(2 * time.Second)
		s.setError(nil)
		callStep(t, g, "o-1", limits)
		expect("on trial", map[string]int64{"circuit stock": 1, "waiting stock": 0, "circuit.opens stock": 1, "deferred stock outage": 1})
		callStep(t, g, "o-1", limits)
		callStep(t, g, "o-1", limits)
		time.Sleep(time.Minute)
		s.setLatency(10 * time.Second)
		for range 6 {
			g.Do(call("o-1", limits, messages.Do), r.add)
		}
		time.Sleep(5 * time.Second)
		expect("full", map[string]int64{
			"circuit stock": 0, "waiting stock": 0, "circuit.opens stock": 1, "deferred stock outage": 1, "deferred stock full": 1,
		})
		time.Sleep(time.Minute)
	})
}

// collect returns the values by "instrument downstream [cause]".
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
