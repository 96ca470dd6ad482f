package downstream

import (
	"context"
	"errors"
	"fmt"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// cause says why a call was put off, as metrics name it.
type cause string

const (
	outage cause = "outage"
	full   cause = "full"
)

// instrumentation holds the instruments of a Guard. The names of downstreams are bounded: they come from plans.
type instrumentation struct {
	opened       metric.Int64Counter
	deferrals    metric.Int64Counter
	registration metric.Registration
}

func newInstrumentation(m metric.Meter, gates func() []*gate) (*instrumentation, error) {
	i := &instrumentation{}
	var errs [5]error
	i.opened, errs[0] = m.Int64Counter("orderly.circuit.opens", metric.WithUnit("{outage}"),
		metric.WithDescription("Outages of a downstream: its circuit opened"))
	i.deferrals, errs[1] = m.Int64Counter("orderly.downstream.deferred", metric.WithUnit("{call}"),
		metric.WithDescription("Step calls put off, their orders parked, because the downstream is out or full"))
	state, err := m.Int64ObservableGauge("orderly.downstream.circuit",
		metric.WithDescription("Circuit of a downstream: 0 closed, 1 half open, 2 open"))
	errs[2] = err
	waiting, err := m.Int64ObservableGauge("orderly.downstream.waiting", metric.WithUnit("{call}"),
		metric.WithDescription("Step calls that wait in memory for a permit"))
	errs[3] = err
	if err := errors.Join(errs[:4]...); err != nil {
		return nil, fmt.Errorf("create the instruments of downstreams: %w", err)
	}
	i.registration, errs[4] = m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, g := range gates() {
			g.mu.Lock()
			circuit, n := g.circuit.state, len(g.queue)
			g.mu.Unlock()
			o.ObserveInt64(state, stateNumber[circuit], g.labels)
			o.ObserveInt64(waiting, int64(n), g.labels)
		}
		return nil
	}, state, waiting)
	return i, errs[4]
}

var stateNumber = map[circuitbreaker.State]int64{
	circuitbreaker.ClosedState: 0, circuitbreaker.HalfOpenState: 1, circuitbreaker.OpenState: 2,
}

func labels(downstream string) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attribute.String("downstream", downstream)))
}

func (i *instrumentation) deferred(g *gate, why cause) {
	i.deferrals.Add(context.Background(), 1, metric.WithAttributes(
		attribute.String("downstream", g.name), attribute.String("cause", string(why))))
}

func (i *instrumentation) close() {
	if i.registration != nil {
		// The only error is that of a meter that forgot it already.
		_ = i.registration.Unregister()
	}
}
