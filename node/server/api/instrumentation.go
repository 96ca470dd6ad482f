package api

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// instrumentation follows the OpenTelemetry conventions for HTTP servers.
type instrumentation struct {
	duration metric.Float64Histogram
	streams  metric.Int64UpDownCounter
	refusals metric.Int64Counter
}

// The reasons of refusals.
const (
	refusedHost        = "host"
	refusedCrossOrigin = "cross_origin"
	refusedSlowBody    = "slow_body"
	refusedClientLimit = "client_limit"
	refusedNodeLimit   = "node_limit"
	// refusedConnection: a waiting connection was closed in favor of a new one.
	refusedConnection = "connection"
)

func newInstrumentation(m metric.Meter, ready func() error) (*instrumentation, error) {
	duration, err := m.Float64Histogram("http.server.request.duration", metric.WithUnit("s"), metric.WithDescription("Time to answer a request, event streams excepted."))
	if err != nil {
		return nil, fmt.Errorf("make instrument: %w", err)
	}
	streams, err := m.Int64UpDownCounter("orderly.api.streams", metric.WithUnit("{stream}"), metric.WithDescription("Event streams that are open."))
	if err != nil {
		return nil, fmt.Errorf("make instrument: %w", err)
	}
	refusals, err := m.Int64Counter("orderly.api.refused", metric.WithUnit("{request}"), metric.WithDescription("Requests and connections refused because of their origin or of a limit."))
	if err != nil {
		return nil, fmt.Errorf("make instrument: %w", err)
	}
	if _, err := m.Int64ObservableGauge("orderly.node.ready", metric.WithDescription("Whether the node accepts orders, as /readyz says: 1 or 0."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			var is int64
			if ready() == nil {
				is = 1
			}
			o.Observe(is)
			return nil
		})); err != nil {
		return nil, fmt.Errorf("make instrument: %w", err)
	}
	i := &instrumentation{duration: duration, streams: streams, refusals: refusals}
	for _, reason := range []string{refusedHost, refusedCrossOrigin, refusedSlowBody, refusedClientLimit, refusedNodeLimit, refusedConnection} {
		i.refusals.Add(context.Background(), 0, byReason(reason)) // a rate needs the value before the first count
	}
	streams.Add(context.Background(), 0)
	return i, nil
}

func byReason(reason string) metric.AddOption {
	return metric.WithAttributes(attribute.String("reason", reason))
}

func (i *instrumentation) refused(ctx context.Context, reason string) {
	i.refusals.Add(ctx, 1, byReason(reason))
}

func (i *instrumentation) request(ctx context.Context, method, route string, status int, took time.Duration) {
	i.duration.Record(ctx, took.Seconds(), metric.WithAttributes(
		attribute.String("http.request.method", method),
		attribute.String("http.route", route),
		attribute.Int("http.response.status_code", status),
	))
}
