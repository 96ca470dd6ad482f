package supervision

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/orderly-engine/orderly/messages"
)

// instrumentation holds the tree's instruments. Only failures are counted as they happen; the rest is observed.
type instrumentation struct {
	restarts    metric.Int64Counter
	giveUps     metric.Int64Counter
	crashes     metric.Int64Counter
	escalations metric.Int64Counter
	observed    metric.Registration

	kinds map[messages.FailureKind]metric.AddOption
}

func newInstrumentation(m metric.Meter, actors, pending func() int64) (*instrumentation, error) {
	i := &instrumentation{kinds: make(map[messages.FailureKind]metric.AddOption)}
	for k := range messages.FailureKind_name {
		kind := messages.FailureKind(k)
		i.kinds[kind] = metric.WithAttributeSet(attribute.NewSet(attribute.String("kind", kind.Label())))
	}
	live, err := m.Int64ObservableUpDownCounter("orderly.supervision.actors", metric.WithUnit("{actor}"),
		metric.WithDescription("Order actors in memory."))
	if err != nil {
		return nil, fmt.Errorf("create instrument: %w", err)
	}
	held, err := m.Int64ObservableUpDownCounter("orderly.supervision.pending", metric.WithUnit("{delivery}"),
		metric.WithDescription("Deliveries in the hands of this node that are not yet settled."))
	if err != nil {
		return nil, fmt.Errorf("create instrument: %w", err)
	}
	for _, c := range []struct {
		counter                 *metric.Int64Counter
		name, unit, description string
	}{
		{&i.restarts, "orderly.supervision.restarts", "{restart}", "Restarts of order actors, by kind of failure."},
		{&i.giveUps, "orderly.supervision.give_ups", "{order}", "Orders told to give up because their restart budget was spent."},
		{&i.crashes, "orderly.supervision.crashes", "{crash}", "Crashes of order supervisors."},
		{&i.escalations, "orderly.supervision.escalations", "{escalation}", "Escalations to the node."},
	} {
		if *c.counter, err = m.Int64Counter(c.name, metric.WithUnit(c.unit), metric.WithDescription(c.description)); err != nil {
			return nil, fmt.Errorf("create instrument: %w", err)
		}
	}
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

func (i *instrumentation) restarted(k messages.FailureKind) {
	option, ok := i.kinds[k]
	if !ok {
		option = i.kinds[messages.FailureKind_FAILURE_KIND_UNSPECIFIED]
	}
	i.restarts.Add(context.Background(), 1, option)
}
