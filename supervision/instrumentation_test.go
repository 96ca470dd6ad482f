package supervision_test

import (
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/supervision"
)

// collect returns the sums by name and kind.
func collect(t *testing.T, reader sdk.Reader) map[string]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]int64)
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
				kind, _ := p.Attributes.Value("kind")
				got[strings.TrimPrefix(m.Name, "orderly.supervision.")+" "+kind.AsString()] = p.Value
			}
		}
	}
	return got
}

func TestInstruments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader := sdk.NewManualReader()
		cfg := quickWith(2)
		cfg.Meter = sdk.NewMeterProvider(sdk.WithReader(reader)).Meter("test")
		cfg.SubsystemBudget = supervision.Budget{Count: 1, Within: time.Hour}
		f := start(t, cfg, onDelivery(func(ctx actor.Context, n int, d *delivery.Delivery) {
			switch {
			case d.OrderID == "held":
			case d.OrderID == "crash":
				answer(ctx, d, delivery.Done())
			case n%2 == 0:
				panic(infrastructure)
			default:
				panic(errBoom)
			}
		}))
		f.deliver("held", 1)
		for range 2 {
			f.deliver("o-1", 1)
			f.after(time.Minute)
		}
		for range 2 {
			f.crash()
			f.after(time.Minute)
		}
		f.deliver("held", 2)
		got := collect(t, reader)
		want := map[string]int64{"actors ": 1, "pending ": 1, "restarts defect": 6, "restarts infrastructure": 8, "give_ups ": 2,
			"restarts fenced": 0, "restarts poison": 0, "restarts rejected": 0, "restarts setup": 0, "restarts transient": 0, "restarts unreadable": 0,
			"crashes ": 2, "escalations ": 1}
		if !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}
