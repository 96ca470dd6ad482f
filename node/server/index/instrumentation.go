package index

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// countInterval is the shortest time between two counts of the orders that have ended, each of which scans an index.
const countInterval = time.Minute

type instrumentation struct {
	entries, skipped metric.Int64Counter
	tick             metric.Float64Histogram
	registration     metric.Registration

	// ended is the last count of orders that have ended, counted its time. The lock is held while they are counted.
	mu      sync.Mutex
	ended   census
	counted time.Time
}

func newInstrumentation(m metric.Meter, x *Index) (*instrumentation, error) {
	i := &instrumentation{}
	var errs [9]error
	i.entries, errs[0] = m.Int64Counter("orderly.index.entries", metric.WithUnit("{entry}"),
		metric.WithDescription("Journal entries applied to the index."))
	i.skipped, errs[1] = m.Int64Counter("orderly.index.entries.skipped", metric.WithUnit("{entry}"),
		metric.WithDescription("Journal entries that could not be applied to the index."))
	i.tick, errs[2] = m.Float64Histogram("orderly.index.tick.duration", metric.WithUnit("s"),
		metric.WithDescription("Time of one round of reading the journal and writing rows."))
	lag, err := m.Float64ObservableGauge("orderly.index.lag", metric.WithUnit("s"),
		metric.WithDescription("Age of the time as of which the index is complete."))
	errs[3] = err
	pending, err := m.Int64ObservableGauge("orderly.index.pending", metric.WithUnit("{entry}"),
		metric.WithDescription("Journal entries that the index had not read at its last round."))
	errs[4] = err
	rows, err := m.Int64ObservableGauge("orderly.index.rows", metric.WithUnit("{order}"),
		metric.WithDescription("Orders in the index, counted at most once a minute."))
	errs[5] = err
	orders, err := m.Int64ObservableGauge("orderly.orders", metric.WithUnit("{order}"),
		metric.WithDescription("Orders by status; those that have ended are counted at most once a minute."))
	errs[6] = err
	oldest, err := m.Float64ObservableGauge("orderly.orders.oldest_age", metric.WithUnit("s"),
		metric.WithDescription("How long the oldest order has been in a status that is not an end; 0 without one."))
	errs[7] = err
	if err := errors.Join(errs[:8]...); err != nil {
		return nil, err
	}
	i.entries.Add(context.Background(), 0) // a rate needs the value before the first count
	i.skipped.Add(context.Background(), 0)
	i.registration, errs[8] = m.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		se := x.current.Load()
		if se == nil {
			return nil
		}
		s := se.state.Load()
		o.ObserveFloat64(lag, s.lag(time.Now()).Seconds())
		o.ObserveInt64(pending, int64(s.pending))
		if c, err := x.census(ctx, se); err == nil {
			var all int64
			for status, g := range c {
				by := metric.WithAttributes(attribute.String("status", Status(status).String()))
				o.ObserveInt64(orders, g.orders, by)
				if !Status(status).ended() {
					o.ObserveFloat64(oldest, g.age(time.Now()).Seconds(), by)
				}
				all += g.orders
			}
			o.ObserveInt64(rows, all)
		}
		return nil
	}, lag, pending, rows, orders, oldest)
	return i, errs[8]
}

func (i *instrumentation) close() { _ = i.registration.Unregister() } // fails only for a registration of another meter

// ticked records one tick of the feed.
func (i *instrumentation) ticked(took time.Duration, applied, skipped int64) {
	ctx := context.Background()
	i.tick.Record(ctx, took.Seconds())
	if applied > 0 {
		i.entries.Add(ctx, applied)
	}
	if skipped > 0 {
		i.skipped.Add(ctx, skipped)
	}
}
