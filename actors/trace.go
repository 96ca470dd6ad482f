package actors

import (
	"context"
	"encoding/hex"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/orderly-engine/orderly/messages"
)

var w3c propagation.TraceContext

// startSpan starts the driver's span, a child of the publisher's.
func (o *Order) startSpan() {
	if !o.traced {
		return
	}
	d := o.driver
	parent := w3c.Extract(context.Background(), propagation.MapCarrier{
		messages.HeaderTraceparent: d.Traceparent, messages.HeaderTracestate: d.Tracestate,
	})
	_, span := o.cfg.Tracer.Start(parent, "process "+string(d.Type),
		trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithTimestamp(d.Received),
		trace.WithAttributes(
			attribute.String("messaging.system", "nats"),
			attribute.String("messaging.operation.type", "process"),
			attribute.String("messaging.destination.name", d.Stream),
			attribute.String("orderly.order_id", string(d.OrderID)),
			attribute.Int64("orderly.delivery", int64(min(d.Deliveries, 1<<31))),
		))
	o.span = span
}

// endSpan ends the driver's span with the outcome of the delivery.
func (o *Order) endSpan(end string) {
	if o.span == nil {
		return
	}
	o.span.SetAttributes(attribute.String("orderly.status", end))
	if end == "attention" {
		o.span.SetStatus(codes.Error, o.state.AttentionCause.GetCause())
	}
	o.span.End()
	o.span = nil
}

// traceparent is the W3C trace context of the actor's current work, or empty.
func (o *Order) traceparent() string {
	if o.span != nil {
		return formatTraceparent(o.span.SpanContext())
	}
	switch {
	case o.driver != nil:
		return o.driver.Traceparent
	case len(o.held) > 0:
		return o.held[0].Traceparent
	}
	return ""
}

// formatTraceparent writes a span context as a traceparent header.
func formatTraceparent(sc trace.SpanContext) string {
	id, span := sc.TraceID(), sc.SpanID()
	var b [55]byte
	copy(b[:], "00-")
	hex.Encode(b[3:35], id[:])
	b[35] = '-'
	hex.Encode(b[36:52], span[:])
	copy(b[52:], "-00")
	if sc.IsSampled() {
		b[54] = '1'
	}
	return string(b[:])
}

// logContext returns a context with the trace of the actor's current work, for log lines.
func (o *Order) logContext() context.Context {
	if o.span == nil {
		return context.Background()
	}
	return trace.ContextWithSpan(context.Background(), o.span)
}
