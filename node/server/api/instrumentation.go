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
}

func newInstrumentation(m metric.Meter) (*instrumentation, error) {
	duration, err := m.Float64Histogram("http.server.request.duration", metric.WithUnit("s"), metric.WithDescription("Time to answer a request, event streams excepted."))
	if err != nil {
		return nil, fmt.Errorf("make instrument: %w", err)
	}
	streams, err := m.Int64UpDownCounter("orderly.api.streams", metric.WithUnit("{stream}"), metric.WithDescription("Event streams that are open."))
	if err != nil {
		return nil, fmt.Errorf("make instrument: %w", err)
	}
	return &instrumentation{duration: duration, streams: streams}, nil
}

func (i *instrumentation) request(ctx context.Context, method, route string, status int, took time.Duration) {
	i.duration.Record(ctx, took.Seconds(), metric.WithAttributes(
		attribute.String("http.request.method", method),
		attribute.String("http.route", route),
		attribute.Int("http.response.status_code", status),
	))
}
