package journal_test

import (
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages/natstest"
)

func TestAppendsAreMeasured(t *testing.T) {
	reader := sdk.NewManualReader()
	nc := natstest.Start(t).Connect()
	stream(t, nc, nil)
	j := open(t, nc, journal.Config{GroupCommit: true, Meter: sdk.NewMeterProvider(sdk.WithReader(reader)).Meter("test")})
	burst(t, j, 100, order, none)
	for range 3 {
		if _, err := put(t, j, order(0), 0, 1); err == nil {
			t.Fatal("no conflict")
		}
	}
	// The last completion is counted before its Done is called.
	var got metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &got); err != nil {
		t.Fatal(err)
	}
	counts := map[string]float64{}
	for _, m := range got.ScopeMetrics[0].Metrics {
		switch d := m.Data.(type) {
		case metricdata.Histogram[float64]:
			counts[m.Name+" "+m.Unit] = float64(d.DataPoints[0].Count)
		case metricdata.Histogram[int64]:
			counts[m.Name+" "+m.Unit] = float64(d.DataPoints[0].Sum)
		case metricdata.Sum[int64]:
			counts[m.Name+" "+m.Unit] = float64(d.DataPoints[0].Value)
		}
	}
	if counts["orderly.journal.append.duration s"] != 103 || counts["orderly.journal.append.fenced {append}"] != 3 {
		t.Errorf("got %v, want 103 appends and 3 fenced", counts)
	}
	if n := counts["orderly.journal.batch.size {append}"]; n < 50 || n > 100 {
		t.Errorf("got %v, want most of 100 appends in batches", counts)
	}
}
