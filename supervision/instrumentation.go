package supervision

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/orderly-engine/orderly/messages"
)

// instrumentation holds the tree's instruments. Only failures are counted as they happen. Protoactor's own
// metrics are off: they cost ten times the CPU of everything else here (go test ./supervision -run - -bench
// Order/metrics) and do not cover kinds of failures, orders given up or pending deliveries.
type instrumentation struct {
	restarts    metric.Int64Counter
	giveUps     metric.Int64Counter
	crashes     metric.Int64Counter
	escalations metric.Int64Counter
	observed    metric.Registration
}

func newInstrumentation(m metric.Meter, actors, pending func() int64) (*instrumentation, error) {
	i := &instrumentation{}
	live, err := m.Int64ObservableUpDownCounter("orderly.supervision.actors", metric.WithUnit("{actor}"),
		metric.WithDescription("Order actors in memory."))
	if err != nil {
		return nil, fmt.Errorf("create instrument: %w", err)
	}
	held, err := m.Int64ObservableUpDownCounter("orderly.supervision.pending", metric.WithUnit("{delivery}"),
		metric.WithDescription("Deliveries of this node that are not settled."))
	if err != nil {
		return nil, fmt.Errorf("create instrument: %w", err)
	}
	for _, c := range []struct {
		counter                 *metric.Int64Counter
		name, unit, description string
	}{
		{&i.restarts, "orderly.supervision.restarts", "{restart}", "Restarts of order actors, by kind of failure."},
		{&i.giveUps, "orderly.supervision.give_ups", "{order}", "Orders given up because their restart budget was exceeded."},
		{&i.crashes, "orderly.supervision.crashes", "{crash}", "Crashes of shard supervisors."},
		{&i.escalations, "orderly.supervision.escalations", "{escalation}", "Escalations to the node."},
	} {
		if *c.counter, err = m.Int64Counter(c.name, metric.WithUnit(c.unit), metric.WithDescription(c.description)); err != nil {
			return nil, fmt.Errorf("create instrument: %w", err)
		}
	}
	i.startAtZero()
	i.observed, err = m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(live, actors())
		o.ObserveInt64(held, pending())
		return nil
	}, live, held)
	if err != nil {
		return nil, fmt.Errorf("observe actors: %w", err)
	}
	return i, nil
}

// startAtZero makes every series exist before its first count: a rate needs the value before.
func (i *instrumentation) startAtZero() {
	ctx := context.Background()
	for _, k := range messages.FailureKinds() {
		i.restarts.Add(ctx, 0, byKind(k))
	}
	for _, c := range []metric.Int64Counter{i.giveUps, i.crashes, i.escalations} {
		c.Add(ctx, 0)
	}
}

func byKind(k messages.FailureKind) metric.AddOption {
	return metric.WithAttributes(attribute.String("kind", k.Label()))
}

func (i *instrumentation) restarted(k messages.FailureKind) {
	i.restarts.Add(context.Background(), 1, byKind(k))
}
