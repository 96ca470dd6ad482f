package gateway_test

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
)

// echoParent replies to calls to "wrap" with their traceparent.
func echoParent(t *testing.T, nc *nats.Conn) {
	t.Helper()
	if _, err := nc.Subscribe("wrap", func(m *nats.Msg) {
		_ = m.Respond([]byte(`{"done":{"data":"` + m.Header.Get("traceparent") + `"}}`))
	}); err != nil {
		t.Fatal(err)
	}
}

func TestServiceSeesSpanOfCall(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	defer func() { _ = provider.Shutdown(context.Background()) }()
	nc := connect(t)
	echoParent(t, nc)
	set := newSet(t, nc, gateway.Config{Tracer: provider.Tracer("test")})
	reply, err := callAndWait(t, set, call("nats://wrap"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = callAndWait(t, set, call("nats://no.listener"))
	_ = requireFailure(t, err, messages.Transient)
	if _, err := callAndWait(t, set, call("sim:")); err != nil {
		t.Fatal(err)
	}

	ended := spans.Ended()
	if len(ended) != 3 {
		t.Fatalf("%d spans ended, want 3", len(ended))
	}
	span := ended[0]
	sc := span.SpanContext()
	if want := "00-" + sc.TraceID().String() + "-" + sc.SpanID().String() + "-01"; reply.GetDone().GetData() != strconv.Quote(want) {
		t.Errorf("service saw %s, want %s", reply.GetDone().GetData(), want)
	}
	if span.SpanKind() != trace.SpanKindClient || span.Name() != "do wrap" || !strings.Contains(traceparent, span.Parent().SpanID().String()) {
		t.Errorf("span %q of kind %s with parent %s", span.Name(), span.SpanKind(), span.Parent().SpanID())
	}
	has := map[attribute.Key]string{}
	for _, a := range span.Attributes() {
		has[a.Key] = a.Value.String()
	}
	for key, want := range map[attribute.Key]string{
		"messaging.system": "nats", "messaging.destination.name": "wrap", "orderly.order_id": "o-1", "orderly.outcome": "done",
	} {
		if has[key] != want {
			t.Errorf("attribute %s is %q, want %q", key, has[key], want)
		}
	}
	if ended[1].Status().Code != codes.Error {
		t.Errorf("status of a failed call is %v", ended[1].Status())
	}
}

func TestNoopTracerPassesOnTraceContext(t *testing.T) {
	nc := connect(t)
	echoParent(t, nc)
	reply, err := callAndWait(t, newSet(t, nc, gateway.Config{Tracer: tracenoop.Tracer{}}), call("nats://wrap"))
	if err != nil || reply.GetDone().GetData() != strconv.Quote(traceparent) {
		t.Errorf("service saw %s, want %s (%v)", reply, traceparent, err)
	}
}

func TestInvalidTraceContextIsDropped(t *testing.T) {
	nc := connect(t)
	echoParent(t, nc)
	c := call("nats://wrap")
	c.Traceparent = "x\r\nEvil: 1"
	c.Tracestate = strings.Repeat("x", 1<<20)
	reply, err := callAndWait(t, newSet(t, nc, gateway.Config{}), c)
	if err != nil || reply.GetDone().GetData() != `""` {
		t.Errorf("got %s, %v", reply, err)
	}
}

func TestDurationsAreMeasured(t *testing.T) {
	reader := metric.NewManualReader()
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	set := newSet(t, nil, gateway.Config{Meter: provider.Meter("test")})
	for target, n := range map[string]int{"sim:": 3, "sim:?reject=1": 2, "sim:?fail=1": 1, "sim:?latency=1ms": 1} {
		for range n {
			_, _ = callAndWait(t, set, call(target))
		}
	}
	undo := call("sim:")
	undo.Direction = messages.Undo
	_, _ = callAndWait(t, set, undo)

	var got metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &got); err != nil {
		t.Fatal(err)
	}
	m := got.ScopeMetrics[0].Metrics[0]
	if m.Name != "orderly.step.duration" || m.Unit != "s" {
		t.Errorf("instrument %s in %s", m.Name, m.Unit)
	}
	counts := map[string]uint64{}
	for _, p := range m.Data.(metricdata.Histogram[float64]).DataPoints {
		step, _ := p.Attributes.Value("step")
		direction, _ := p.Attributes.Value("direction")
		outcome, _ := p.Attributes.Value("outcome")
		counts[step.AsString()+" "+direction.AsString()+" "+outcome.AsString()] = p.Count
	}
	for key, want := range map[string]uint64{
		"wrap do done": 4, "wrap do rejected": 2, "wrap do failed": 1, "wrap undo done": 1,
	} {
		if counts[key] != want {
			t.Errorf("%s: %d, want %d", key, counts[key], want)
		}
	}
}
