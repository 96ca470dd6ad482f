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

// traceContext is a W3C trace context on its way from a Call to a request. It is the one carrier for both transports,
// with keys in lower case as NATS headers keep them.
type traceContext struct {
	parent, state string
}

// maxTraceHeader is the longest trace header that is passed on, in bytes.
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

// startSpan begins the client span of f's call and makes it what the request passes on. Without a tracer the request
// passes on what the call was given.
func (f *pendingCall) startSpan(tracer trace.Tracer) {
	f.trace = traceContext{parent: headerValue(f.call.Traceparent), state: headerValue(f.call.Tracestate)}
	if tracer == nil {
		return
	}
	ctx := w3c.Extract(context.Background(), &f.trace)
	attributes := []attribute.KeyValue{
		attribute.String("orderly.order_id", f.call.Request.GetOrderId()),
		attribute.String("orderly.step", f.call.Step.GetName()),
		attribute.String("orderly.direction", f.call.Direction.Label()),
		attribute.Int("orderly.attempt", int(f.call.Request.GetAttempt())),
	}
	switch {
	case f.target.subject != "":
		attributes = append(attributes,
			semconv.MessagingSystemKey.String("nats"),
			semconv.MessagingDestinationName(f.target.subject),
			semconv.MessagingOperationName("request"),
			semconv.MessagingOperationTypeSend,
		)
	case f.target.url != nil:
		attributes = append(attributes,
			semconv.HTTPRequestMethodPost,
			semconv.URLFull(f.target.name),
			semconv.ServerAddress(f.target.url.Hostname()),
		)
	}
	ctx, f.span = tracer.Start(ctx, f.call.Direction.Label()+" "+f.call.Step.GetName(),
		trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attributes...))
	if f.span.SpanContext().IsValid() {
		f.trace = traceContext{}
		w3c.Inject(ctx, &f.trace)
	}
}

// headerValue is s where a header can carry it, else empty: a publisher's odd trace context must not fail a call.
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

func (f *pendingCall) endSpan(r result, err error) {
	if f.span == nil {
		return
	}
	f.span.SetAttributes(attribute.String("orderly.outcome", r.String()))
	if err != nil {
		f.span.SetAttributes(semconv.ErrorTypeKey.String(delivery.AsFailure(err).Kind.Label()))
		f.span.SetStatus(codes.Error, err.Error())
	}
	f.span.End()
}
