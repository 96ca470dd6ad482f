package index

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// countInterval is the shortest time between two counts of the rows, each of which scans the table.
const countInterval = time.Minute

type instrumentation struct {
	entries, skipped metric.Int64Counter
	tick             metric.Float64Histogram
	registration     metric.Registration

	// rows is the last count of rows, counted its time in Unix nanoseconds.
	rows, counted atomic.Int64
}

func newInstrumentation(m metric.Meter, x *Index) (*instrumentation, error) {
	i := &instrumentation{}
	var errs [7]error
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
	if err := errors.Join(errs[:6]...); err != nil {
		return nil, err
	}
	i.registration, errs[6] = m.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		se := x.current.Load()
		if se == nil {
			return nil
		}
		s := se.state.Load()
		o.ObserveFloat64(lag, s.lag(time.Now()).Seconds())
		o.ObserveInt64(pending, int64(s.pending))
		if n, err := x.count(ctx, se); err == nil {
			o.ObserveInt64(rows, n)
		}
		return nil
	}, lag, pending, rows)
	return i, errs[6]
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

// count returns the number of rows, up to a minute old.
func (x *Index) count(ctx context.Context, se *session) (int64, error) {
	i := x.instr
	last, now := i.counted.Load(), time.Now().UnixNano()
	if now-last < int64(countInterval) || !i.counted.CompareAndSwap(last, now) {
		return i.rows.Load(), nil
	}
	n, err := se.count(ctx)
	if err == nil {
		i.rows.Store(n)
	}
	return n, err
}
