package ingress

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/metric"
)

// observe registers the gauges. They have no value while the store has no limit that is known.
func (r *Room) observe(meter metric.Meter) (metric.Registration, error) {
	var errs []error
	gauge := func(name, description string) metric.Int64ObservableGauge {
		g, err := meter.Int64ObservableGauge(name, metric.WithUnit("By"), metric.WithDescription(description))
		errs = append(errs, err)
		return g
	}
	store := gauge("orderly.store.room", "Room left in the store.")
	disk := gauge("orderly.disk.room", "Room left on the disk of the embedded store.")
	inbox := gauge("orderly.inbox.room", "Room left for messages in the inbox.")
	orders := gauge("orderly.orders.room", "Room left for new orders; at 0 none is accepted.")
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		m := r.last.Load()
		if m == nil {
			return nil
		}
		o.ObserveInt64(store, m.Left)
		o.ObserveInt64(orders, max(0, m.Orders()))
		if m.Disk > 0 {
			o.ObserveInt64(disk, m.Disk)
		}
		if m.Limited {
			o.ObserveInt64(inbox, m.Inbox)
		}
		return nil
	}, store, disk, inbox, orders)
}
