package telemetry_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/node/server/telemetry"
)

func TestMain(m *testing.M) {
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "OTEL_") {
			_ = os.Unsetenv(name)
		}
	}
	goleak.VerifyTestMain(m)
}

func setup(t *testing.T, cfg telemetry.Config) *telemetry.Telemetry {
	t.Helper()
	if cfg.NodeID == "" {
		cfg.NodeID = "n-1"
	}
	tel, err := telemetry.Setup(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tel.Shutdown(context.Background()); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	return tel
}

// spans waits for one export.
func spans(t *testing.T, received <-chan *collector.ExportTraceServiceRequest) (names []string, resource map[string]string) {
	t.Helper()
	select {
	case r := <-received:
		resource = map[string]string{}
		for _, a := range r.ResourceSpans[0].Resource.Attributes {
			resource[a.Key] = a.Value.GetStringValue()
		}
		for _, s := range r.ResourceSpans[0].ScopeSpans[0].Spans {
			names = append(names, s.Name)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no spans arrived within 10s")
	}
	return names, resource
}

// emit records one span and flushes it.
func emit(t *testing.T, tel *telemetry.Telemetry) {
	t.Helper()
	_, span := tel.Tracer().Start(t.Context(), "drive order")
	span.End()
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestSpansOverHTTP(t *testing.T) {
	received := make(chan *collector.ExportTraceServiceRequest, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		request := new(collector.ExportTraceServiceRequest)
		if err := proto.Unmarshal(body, request); err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Api-Key") != "k" {
			t.Errorf("%s %s, key %q: %v", r.Method, r.URL, r.Header.Get("Api-Key"), err)
		}
		received <- request
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=k")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")

	tel := setup(t, telemetry.Config{NodeID: "n-1", Version: "v1.2.3"})
	emit(t, tel)
	names, resource := spans(t, received)
	if len(names) != 1 || names[0] != "drive order" {
		t.Errorf("spans %q", names)
	}
	for key, want := range map[string]string{"service.name": "orderly", "service.version": "v1.2.3", "service.instance.id": "n-1", "deployment.environment": "test"} {
		if resource[key] != want {
			t.Errorf("%s is %q, want %q", key, resource[key], want)
		}
	}
}

type grpcCollector struct {
	collector.UnimplementedTraceServiceServer
	received chan *collector.ExportTraceServiceRequest
}

func (c *grpcCollector) Export(_ context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	c.received <- r
	return &collector.ExportTraceServiceResponse{}, nil
}

func TestSpansOverGRPC(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &grpcCollector{received: make(chan *collector.ExportTraceServiceRequest, 1)}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, c)
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(l) }()
	defer func() { server.Stop(); <-served }()
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://"+l.Addr().String())
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	t.Setenv("OTEL_SERVICE_NAME", "shop")

	emit(t, setup(t, telemetry.Config{}))
	names, resource := spans(t, c.received)
	if len(names) != 1 || resource["service.name"] != "shop" {
		t.Errorf("spans %q of %v", names, resource)
	}
}

// The sampler of the environment is used: nothing is sent.
func TestSampler(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a span was sent") }))
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	t.Setenv("OTEL_TRACES_SAMPLER", "always_off")
	emit(t, setup(t, telemetry.Config{}))
}

func TestNoTraces(t *testing.T) {
	for _, variables := range [][]string{
		{},
		{"OTEL_SDK_DISABLED", "true", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"},
		{"OTEL_TRACES_EXPORTER", "none", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"},
	} {
		for i := 0; i < len(variables); i += 2 {
			t.Setenv(variables[i], variables[i+1])
		}
		tel := setup(t, telemetry.Config{})
		ctx, span := tel.Tracer().Start(telemetry.ContextWith(t.Context(), parent, ""), "x")
		if span.IsRecording() {
			t.Errorf("%v: spans are recorded", variables)
		}
		// An incoming trace context is still passed on.
		if got, _ := telemetry.Traceparent(ctx); got != parent {
			t.Errorf("%v: the trace context became %q", variables, got)
		}
		span.End()
	}
}

func TestSetupRefuses(t *testing.T) {
	for _, wrong := range [][2]string{
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://bob:s3cret@collector:4318"},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "s3cret"},
		{"OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"},
		{"OTEL_TRACES_EXPORTER", "jaeger"},
		{"OTEL_TRACES_SAMPLER", "sometimes"},
		{"OTEL_RESOURCE_ATTRIBUTES", "novalue"},
	} {
		t.Run(wrong[0]+"="+wrong[1], func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
			t.Setenv(wrong[0], wrong[1])
			_, err := telemetry.Setup(t.Context(), telemetry.Config{NodeID: "n"})
			if err == nil || !strings.Contains(err.Error(), wrong[0]) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := telemetry.Setup(t.Context(), telemetry.Config{}); err == nil {
		t.Error("no node id, and no error")
	}
}

// An unreachable collector is logged and causes no delay beyond the deadline.
func TestCollectorAway(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	var out bytes.Buffer
	tel := setup(t, telemetry.Config{Logger: slog.New(slog.NewTextHandler(&out, nil))})
	_, span := tel.Tracer().Start(t.Context(), "x")
	span.End()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := tel.Shutdown(ctx); err == nil && !strings.Contains(out.String(), "telemetry failure") {
		t.Error("a span was lost without a warning")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

func scrape(t *testing.T, tel *telemetry.Telemetry) map[string]*dto.MetricFamily {
	t.Helper()
	answer := httptest.NewRecorder()
	tel.MetricsHandler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(answer.Body)
	if err != nil || answer.Code != http.StatusOK {
		t.Fatalf("scrape: %d, %v", answer.Code, err)
	}
	return families
}

func TestMetrics(t *testing.T) {
	tel := setup(t, telemetry.Config{})
	counter, err := tel.Meter().Int64Counter("orderly.orders", metric.WithUnit("{order}"))
	if err != nil {
		t.Fatal(err)
	}
	counter.Add(t.Context(), 3, metric.WithAttributes(attribute.String("outcome", "completed")))
	durations, err := tel.Meter().Float64Histogram("orderly.steps.duration", metric.WithUnit("s"))
	if err != nil {
		t.Fatal(err)
	}
	durations.Record(t.Context(), 0.0002)
	durations.Record(t.Context(), 45)
	sizes, err := tel.Meter().Int64Histogram("orderly.batch.size", metric.WithUnit("{message}"), metric.WithExplicitBucketBoundaries(1, 10))
	if err != nil {
		t.Fatal(err)
	}
	sizes.Record(t.Context(), 5)

	families := scrape(t, tel)
	orders := families["orderly_orders_total"]
	if orders == nil || orders.Metric[0].GetCounter().GetValue() != 3 {
		t.Fatalf("orders: %v", orders)
	}
	if labels := orders.Metric[0].Label; len(labels) != 1 || labels[0].GetName() != "outcome" || labels[0].GetValue() != "completed" {
		t.Errorf("labels %v", labels)
	}
	steps := families["orderly_steps_duration_seconds"]
	if steps == nil {
		t.Fatal("no histogram")
	}
	cumulative := map[float64]uint64{}
	for _, b := range steps.Metric[0].GetHistogram().Bucket {
		cumulative[b.GetUpperBound()] = b.GetCumulativeCount()
	}
	if cumulative[.0001] != 0 || cumulative[.00025] != 1 || cumulative[30] != 1 || cumulative[60] != 2 {
		t.Errorf("buckets %v", cumulative)
	}
	if got := len(families["orderly_batch_size"].GetMetric()[0].GetHistogram().Bucket); got != 3 {
		t.Errorf("%d buckets for sizes: the view for seconds was applied to them", got)
	}
	for _, name := range []string{"go_goroutines", "process_start_time_seconds", "target_info"} {
		if families[name] == nil {
			t.Errorf("no %s", name)
		}
	}
	if t.Failed() {
		for name := range families {
			t.Log(name)
		}
	}
}

// Two nodes in one process do not share a registry.
func TestOwnRegistry(t *testing.T) {
	a, b := setup(t, telemetry.Config{NodeID: "a"}), setup(t, telemetry.Config{NodeID: "b"})
	counter, err := a.Meter().Int64Counter("orderly.only.a")
	if err != nil {
		t.Fatal(err)
	}
	counter.Add(t.Context(), 1)
	if scrape(t, a)["orderly_only_a_total"] == nil || scrape(t, b)["orderly_only_a_total"] != nil {
		t.Error("wrong registry")
	}
}

func TestLog(t *testing.T) {
	var out bytes.Buffer
	logger, err := telemetry.NewLogger(&out, "json", slog.LevelInfo)
	if err != nil {
		t.Fatal(err)
	}
	ctx := telemetry.ContextWith(t.Context(), parent, "")
	logger.With("node", "n-1").InfoContext(ctx, "order completed", telemetry.KeyOrderID, "o-1")
	for _, want := range []string{`"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"`, `"span_id":"00f067aa0ba902b7"`, `"node":"n-1"`, `"order_id":"o-1"`, `"msg":"order completed"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in %s", want, &out)
		}
	}
	out.Reset()
	logger.Info("x")
	logger.Debug("y")
	if strings.Contains(out.String(), "trace_id") || strings.Contains(out.String(), `"y"`) {
		t.Errorf("got %s", &out)
	}
	if text, err := telemetry.NewLogger(&out, "text", slog.LevelInfo); err != nil {
		t.Error(err)
	} else if out.Reset(); true {
		text.Info("hello")
		if !strings.Contains(out.String(), "msg=hello") {
			t.Errorf("got %s", &out)
		}
	}
	if _, err := telemetry.NewLogger(&out, "xml", slog.LevelInfo); err == nil {
		t.Error("xml is a log format")
	}
}
