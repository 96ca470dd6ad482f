package downstream

import (
	"context"
	"errors"
	"fmt"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// deferralCause is the attribute cause of orderly.downstream.deferred.
type deferralCause string

const (
	outage deferralCause = "outage" // the circuit is not closed, or slow start has no permit
	setup  deferralCause = "setup"  // the same, or not yet open, by a fault of the set-up
	full   deferralCause = "full"   // a limit has no permit
)

// instrumentation holds the instruments of a Guard. The number of attribute sets is bounded: downstreams come from plans.
type instrumentation struct {
	opens        metric.Int64Counter
	deferrals    metric.Int64Counter
	registration metric.Registration
}

func newInstrumentation(m metric.Meter, limiters func() []*serviceLimiter) (*instrumentation, error) {
	i := &instrumentation{}
	var errs [5]error
	i.opens, errs[0] = m.Int64Counter("orderly.circuit.opens", metric.WithUnit("{opening}"),
		metric.WithDescription("How often the circuit of a downstream went from closed to open: by downstream and cause (no_reply, failure_rate, setup)"))
	i.deferrals, errs[1] = m.Int64Counter("orderly.downstream.deferred", metric.WithUnit("{call}"),
		metric.WithDescription("Step calls not made, or failed in an outage, whose orders park: by downstream and cause (outage, setup, full)"))
	state, err := m.Int64ObservableGauge("orderly.downstream.circuit",
		metric.WithDescription("Circuit of a downstream: 0 closed, 1 half open, 2 open"))
	errs[2] = err
	waiting, err := m.Int64ObservableGauge("orderly.downstream.waiting", metric.WithUnit("{call}"),
		metric.WithDescription("Step calls that wait in memory for a permit"))
	errs[3] = err
	if err := errors.Join(errs[:4]...); err != nil {
		return nil, fmt.Errorf("create instruments of downstreams: %w", err)
	}
	i.registration, errs[4] = m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, l := range limiters() {
			l.mu.Lock()
			circuit, n := l.circuit.state, len(l.queue)
			l.mu.Unlock()
			o.ObserveInt64(state, stateNumber[circuit], l.labels)
			o.ObserveInt64(waiting, int64(n), l.labels)
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

// startAtZero makes the series of a downstream exist before their first count: a rate needs the value before.
func (i *instrumentation) startAtZero(l *serviceLimiter) {
	ctx := context.Background()
	for _, cause := range []openCause{openNoReply, openFailureRate, openSetup} {
		i.opens.Add(ctx, 0, byCause(l, string(cause)))
	}
	for _, cause := range []deferralCause{outage, setup, full} {
		i.deferrals.Add(ctx, 0, byCause(l, string(cause)))
	}
}

func byCause(l *serviceLimiter, cause string) metric.AddOption {
	return metric.WithAttributes(attribute.String("downstream", l.name), attribute.String("cause", cause))
}

func (i *instrumentation) opened(l *serviceLimiter, cause openCause) {
	i.opens.Add(context.Background(), 1, byCause(l, string(cause)))
}

func (i *instrumentation) deferred(l *serviceLimiter, cause deferralCause) {
	i.deferrals.Add(context.Background(), 1, byCause(l, string(cause)))
}

func (i *instrumentation) close() {
	if i.registration != nil {
		// It fails only if the meter provider has been shut down.
		_ = i.registration.Unregister()
	}
}
