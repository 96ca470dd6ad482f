package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/metric"
)

type instrumentation struct {
	duration metric.Float64Histogram
	fenced   metric.Int64Counter
	lost     metric.Int64Counter
	batch    metric.Int64Histogram
	foreign  metric.Int64Counter
	failed   metric.Int64Counter
}

func newInstrumentation(m metric.Meter) (*instrumentation, error) {
	duration, err1 := m.Float64Histogram("orderly.journal.append.duration", metric.WithUnit("s"),
		metric.WithDescription("Time from an append to its completion."),
		metric.WithExplicitBucketBoundaries(.0005, .001, .002, .003, .005, .0075, .01, .025, .05, .1, .25, .5, 1, 2.5, 5))
	fenced, err2 := m.Int64Counter("orderly.journal.append.fenced", metric.WithUnit("{append}"),
		metric.WithDescription("Appends refused because another entry of their order was stored first."))
	lost, err3 := m.Int64Counter("orderly.journal.append.lost", metric.WithUnit("{append}"),
		metric.WithDescription("Appends whose reply was lost."))
	batch, err4 := m.Int64Histogram("orderly.journal.batch.size", metric.WithUnit("{append}"),
		metric.WithDescription("Appends in one atomic batch."),
		metric.WithExplicitBucketBoundaries(1, 2, 5, 10, 25, 50, 100, 250, 500, 1000))
	foreign, err5 := m.Int64Counter("orderly.journal.foreign", metric.WithUnit("{message}"),
		metric.WithDescription("Messages in the journal that no node stored, and that a read of an order passed over; each read counts."))
	failed, err6 := m.Int64Counter("orderly.journal.append.failed", metric.WithUnit("{append}"),
		metric.WithDescription("Appends that the journal did not store, other than those refused because of another entry: it is away, full or forbidden."))
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		return nil, fmt.Errorf("create the journal's instruments: %w", err)
	}
	for _, c := range []metric.Int64Counter{fenced, lost, foreign, failed} {
		c.Add(context.Background(), 0) // a rate needs the value before the first count
	}
	return &instrumentation{duration, fenced, lost, batch, foreign, failed}, nil
}

// completed records the end of one append.
func (i *instrumentation) completed(took time.Duration, err error) {
	i.duration.Record(context.Background(), took.Seconds())
	switch {
	case err == nil:
	case errors.Is(err, errFenced):
		i.fenced.Add(context.Background(), 1)
	case errors.Is(err, errLost):
		i.lost.Add(context.Background(), 1)
	default:
		i.failed.Add(context.Background(), 1)
	}
}
