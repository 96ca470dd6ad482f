package supervision_test

import (
	"bytes"
	"log/slog"
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
		cfg := quick
		cfg.Meter = sdk.NewMeterProvider(sdk.WithReader(reader)).Meter("test")
		cfg.OrderBudget = supervision.Budget{Count: 2, Within: time.Hour}
		cfg.SubsystemBudget = supervision.Budget{Count: 1, Within: time.Hour}
		s := newStage(t, cfg, func(ctx actor.Context, life int, message any) {
			d, ok := message.(*delivery.Delivery)
			switch {
			case !ok || d.OrderID == "held":
			case d.OrderID == "crash":
				answer(ctx, d, delivery.Done())
			default:
				if life%2 == 0 {
					panic(errNATSAway)
				}
				panic(errBoom)
			}
		})
		s.deliver("held", 1)
		calls := 0
		for range 2 {
			s.deliver("o-1", 1)
			s.after(time.Minute)
		}
		for range 2 {
			d := s.ledger.delivery("crash", 1)
			d.Settler = crashing{&calls}
			s.tree.Deliver(d)
			synctest.Wait()
		}
		s.after(time.Minute)
		s.deliver("held", 2)
		got := collect(t, reader)
		want := map[string]int64{"actors ": 1, "pending ": 1, "restarts defect": 6, "restarts infrastructure": 8, "give_ups ": 2,
			"crashes ": 2, "escalations ": 1}
		for name, n := range want {
			if got[name] != n {
				t.Errorf("%s is %d, want %d; all: %v", name, got[name], n, got)
			}
		}
	})
}

func TestTheActorSystemLogsFromWarn(t *testing.T) {
	var out bytes.Buffer
	sys := supervision.NewSystem(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	log := sys.Logger().With("a", 1).WithGroup("g")
	log.Info("chatter")
	log.Warn("trouble")
	if got := out.String(); strings.Contains(got, "chatter") || strings.Contains(got, "started") || !strings.Contains(got, "trouble") {
		t.Fatalf("logged %q, want trouble only", got)
	}
}
