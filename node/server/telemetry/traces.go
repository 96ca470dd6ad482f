package telemetry

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

var samplers = []string{"", "always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"}

// newSpanExporter returns the exporter that the OTEL_ variables configure, nil without an endpoint. The exporter itself reads
// endpoint, headers, certificates, compression and timeout from them.
func newSpanExporter(ctx context.Context) (sdktrace.SpanExporter, error) {
	switch exporter := os.Getenv("OTEL_TRACES_EXPORTER"); exporter {
	case "", "otlp":
	case "none":
		return nil, nil
	default:
		return nil, fmt.Errorf("OTEL_TRACES_EXPORTER=%q is not allowed: want otlp or none", exporter)
	}
	if sampler := os.Getenv("OTEL_TRACES_SAMPLER"); !slices.Contains(samplers, sampler) {
		return nil, fmt.Errorf("OTEL_TRACES_SAMPLER=%q is not allowed: want %s", sampler, strings.Join(samplers[1:], ", "))
	}
	name, endpoint := firstSet("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
	if endpoint == "" {
		return nil, nil
	}
	// The value may contain credentials: the error omits it.
	if u, err := url.Parse(endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%s is not a URL: want http:// or https:// with a host, for example http://127.0.0.1:4318", name)
	}
	if strings.Contains(endpoint, "@") {
		return nil, fmt.Errorf("%s has user information, which OTLP does not send: put credentials into OTEL_EXPORTER_OTLP_HEADERS", name)
	}
	switch name, protocol := firstSet("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"); protocol {
	case "", "http/protobuf":
		return otlptracehttp.New(ctx)
	case "grpc":
		return otlptracegrpc.New(ctx)
	default:
		return nil, fmt.Errorf("%s=%q is not allowed: want http/protobuf or grpc", name, protocol)
	}
}

// firstSet returns the first of the variables that is not empty.
func firstSet(names ...string) (name, value string) {
	for _, name := range names {
		if value := strings.TrimSpace(os.Getenv(name)); value != "" {
			return name, value
		}
	}
	return "", ""
}
