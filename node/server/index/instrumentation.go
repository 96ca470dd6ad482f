package index

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// countEvery bounds how often rows are counted: that takes a look at each.
const countEvery = time.Minute

type instrumentation struct {
	entries, passed metric.Int64Counter
	write           metric.Float64Histogram
	registration    metric.Registration

	// rows were counted at the time, both as of Unix nanoseconds.
	rows, counted atomic.Int64
}

func newInstrumentation(m metric.Meter, x *Index) (*instrumentation, error) {
	i := &instrumentation{}
	var errs [7]error
	i.entries, errs[0] = m.Int64Counter("orderly.index.entries", metric.WithUnit("{entry}"),
		metric.WithDescription("Journal entries folded into the index."))
	i.passed, errs[1] = m.Int64Counter("orderly.index.entries.left_out", metric.WithUnit("{entry}"),
		metric.WithDescription("Journal entries the index could not use."))
	i.write, errs[2] = m.Float64Histogram("orderly.index.tick.duration", metric.WithUnit("s"),
		metric.WithDescription("Time to read what the journal has and to write what is due."))
	behind, err := m.Float64ObservableGauge("orderly.index.behind", metric.WithUnit("s"),
		metric.WithDescription("Age of the moment up to which the index is complete."))
	errs[3] = err
	pending, err := m.Int64ObservableGauge("orderly.index.pending", metric.WithUnit("{entry}"),
		metric.WithDescription("Journal entries stored and not read by the index at its last look."))
	errs[4] = err
	rows, err := m.Int64ObservableGauge("orderly.index.rows", metric.WithUnit("{order}"),
		metric.WithDescription("Orders in the index, counted once a minute at most."))
	errs[5] = err
	if err := errors.Join(errs[:6]...); err != nil {
		return nil, err
	}
	i.registration, errs[6] = m.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		se := x.session.Load()
		if se == nil {
			return nil
		}
		s := se.state.Load()
		o.ObserveFloat64(behind, s.behind(time.Now()).Seconds())
		o.ObserveInt64(pending, int64(s.pending))
		if n, err := x.count(ctx, se); err == nil {
			o.ObserveInt64(rows, n)
		}
		return nil
	}, behind, pending, rows)
	return i, errs[6]
}

func (i *instrumentation) close() { _ = i.registration.Unregister() } // fails only for a registration of another meter

// ticked records one look at the journal.
func (i *instrumentation) ticked(took time.Duration, taken, passed int64) {
	ctx := context.Background()
	i.write.Record(ctx, took.Seconds())
	if taken > 0 {
		i.entries.Add(ctx, taken)
	}
	if passed > 0 {
		i.passed.Add(ctx, passed)
	}
}

// count is how many rows there are, or were a minute ago.
func (x *Index) count(ctx context.Context, se *session) (int64, error) {
	i := x.measure
	last, now := i.counted.Load(), time.Now().UnixNano()
	if now-last < int64(countEvery) || !i.counted.CompareAndSwap(last, now) {
		return i.rows.Load(), nil
	}
	n, err := se.count(ctx)
	if err == nil {
		i.rows.Store(n)
	}
	return n, err
}
