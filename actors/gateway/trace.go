package gateway

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// traceContext copies a W3C trace context from a Call to a NATS or HTTP request. Keys are lower case, as NATS headers are
// case-sensitive.
type traceContext struct {
	parent, state string
}

// maxTraceHeader is the longest trace header passed on, in bytes.
const maxTraceHeader = 1024

var w3c propagation.TraceContext

func (t *traceContext) Get(key string) string {
	switch key {
	case messages.HeaderTraceparent:
		return t.parent
	case messages.HeaderTracestate:
		return t.state
	}
	return ""
}

func (t *traceContext) Set(key, value string) {
	switch key {
	case messages.HeaderTraceparent:
		t.parent = value
	case messages.HeaderTracestate:
		t.state = value
	}
}

func (t *traceContext) Keys() []string {
	return []string{messages.HeaderTraceparent, messages.HeaderTracestate}
}

// startSpan starts the client span whose context the request has. Without a tracer the request has the call's own trace
// context.
func (p *pendingCall) startSpan(tracer trace.Tracer) {
	p.trace = traceContext{parent: headerValue(p.call.Traceparent), state: headerValue(p.call.Tracestate)}
	if tracer == nil {
		return
	}
	ctx := w3c.Extract(context.Background(), &p.trace)
	attributes := []attribute.KeyValue{
		attribute.String("orderly.order_id", p.call.Request.GetOrderId()),
		attribute.String("orderly.step", p.call.Step.GetName()),
		attribute.String("orderly.direction", p.call.Direction.Label()),
		attribute.Int("orderly.attempt", int(p.call.Attempt)),
	}
	switch {
	case p.target.subject != "":
		attributes = append(attributes,
			semconv.MessagingSystemKey.String("nats"),
			semconv.MessagingDestinationName(p.target.subject),
			semconv.MessagingOperationName("request"),
			semconv.MessagingOperationTypeSend,
		)
	case p.target.url != nil:
		attributes = append(attributes,
			semconv.HTTPRequestMethodPost,
			semconv.URLFull(p.target.name),
			semconv.ServerAddress(p.target.url.Hostname()),
		)
	}
	ctx, p.span = tracer.Start(ctx, p.call.Direction.Label()+" "+p.call.Step.GetName(),
		trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attributes...))
	if p.span.SpanContext().IsValid() {
		p.trace = traceContext{}
		w3c.Inject(ctx, &p.trace)
	}
}

// headerValue returns s if it is valid in a header, else nothing: a publisher's invalid trace context must not fail a call.
func headerValue(s string) string {
	if len(s) > maxTraceHeader {
		return ""
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return ""
		}
	}
	return s
}

func (p *pendingCall) endSpan(r result, err error) {
	if p.span == nil {
		return
	}
	p.span.SetAttributes(attribute.String("orderly.outcome", r.String()))
	if err != nil {
		p.span.SetAttributes(semconv.ErrorTypeKey.String(delivery.AsFailure(err).Kind.Label()))
		p.span.SetStatus(codes.Error, err.Error())
	}
	p.span.End()
}
