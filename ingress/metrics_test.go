package ingress_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// collectMetrics returns the values by name, or by name and attribute value.
func collectMetrics(t *testing.T, reader *metric.ManualReader) map[string]float64 {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, scope := range rm.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					values[key(m.Name, p)] = float64(p.Value)
				}
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					values[key(m.Name, p)] = float64(p.Value)
				}
			case metricdata.Gauge[float64]:
				for _, p := range data.DataPoints {
					values[key(m.Name, p)] = p.Value
				}
			}
		}
	}
	return values
}

func key[N int64 | float64](name string, p metricdata.DataPoint[N]) string {
	for _, kv := range p.Attributes.ToSlice() {
		name += "/" + kv.Value.AsString()
	}
	return name
}

func TestMetrics(t *testing.T) {
	_, js := startServer(t)
	reader := metric.NewManualReader()
	meter := metric.NewMeterProvider(metric.WithReader(reader)).Meter("orderly")
	in := startInbox(t, js, ingress.Config{MaxInFlight: 8, Meter: meter, PollInterval: 20 * time.Millisecond})
	for range 9 {
		storeOrder(t, js, "o")
	}
	storeMsg(t, js, "ORDER_WAKE.o", nats.Header{messages.HeaderPark: {"1"}}, "")
	var held []*delivery.Delivery // sequences of two streams
	for range 8 {
		held = append(held, in.next())
	}
	natstest.Eventually(t, "the lag is measured and in-progress acks are counted", func() bool {
		v := collectMetrics(t, reader)
		return v["orderly.inbox.lag/ORDERS"] == 2 && v["orderly.ack_progress"] >= 8 && v["orderly.inbox.oldest_age"] > 0.1
	})
	if v := collectMetrics(t, reader); v["orderly.deliveries.in_flight"] != 8 || v["orderly.deliveries/order.created"] != 7 || v["orderly.deliveries/order.wake"] != 1 ||
		v["orderly.inbox.lag/ORDER_TIMERS"] != 0 {
		t.Errorf("got %v", v)
	}
	for _, d := range held {
		d.Settle(delivery.Done())
		d.Settle(delivery.Done())
	}
	in.next().Settle(delivery.Later(time.Minute))
	in.next().Settle(delivery.Dropped())
	storeMsg(t, js, "ORDER.o", nil, "junk")
	natstest.Eventually(t, "the dead letter is counted", func() bool { return collectMetrics(t, reader)["orderly.dead_letters/undecodable"] == 1 })
	v := collectMetrics(t, reader)
	for name, want := range map[string]float64{
		"orderly.settlements/done": 8, "orderly.settlements/later": 1, "orderly.settlements/dropped": 1, "orderly.settlements/dead": 1,
		"orderly.settlements.ignored": 8, "orderly.deliveries/unreadable": 1,
	} {
		if v[name] != want {
			t.Errorf("%s is %v, want %v", name, v[name], want)
		}
	}
}

func TestTwoNodesShareTheWork(t *testing.T) {
	s, js := startServer(t)
	one := startInbox(t, js, ingress.Config{MaxInFlight: 16})
	two := startInbox(t, s.JetStream(), ingress.Config{MaxInFlight: 16})
	for range 28 {
		storeOrder(t, js, "o")
	}
	seen := map[uint64]bool{}
	for range 14 {
		seen[one.next().Sequence] = true
		seen[two.next().Sequence] = true
	}
	if len(seen) != 28 {
		t.Errorf("%d of 28 messages are delivered once", len(seen))
	}
}
