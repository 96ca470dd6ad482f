package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	nooptrace "go.opentelemetry.io/otel/trace/noop"
)

// scope is the instrumentation scope of spans and metrics.
const scope = "github.com/orderly-engine/orderly"

// Config of a Telemetry. The standard OTEL_ variables of the process override it.
type Config struct {
	// NodeID identifies this run of the program (service.instance.id). Required.
	NodeID string
	// Version of the program (service.version). Default "devel".
	Version string
	// Logger gets the failures of the export. Default: none.
	Logger *slog.Logger
}

// Validate reports what is missing.
func (c Config) Validate() error {
	if c.NodeID == "" {
		return errors.New("telemetry: no node id: give one")
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Version == "" {
		c.Version = "devel"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Telemetry takes a node's spans and metrics.
type Telemetry struct {
	tracers  trace.TracerProvider
	meters   metric.MeterProvider
	registry *prometheus.Registry
	// shutdowns end what was set up, in this order.
	shutdowns []func(context.Context) error
}

// Setup follows the OTEL_ variables: spans are exported to the OTLP endpoint if one is set; with OTEL_SDK_DISABLED=true nothing is
// recorded. The error names the invalid variable.
func Setup(ctx context.Context, cfg Config) (*Telemetry, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	t := &Telemetry{tracers: nooptrace.NewTracerProvider(), meters: noopmetric.NewMeterProvider(), registry: newRegistry()}
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return t, nil
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		cfg.Logger.Warn("telemetry failure", KeyError, err)
	}))

	// The environment comes last and overrides.
	res, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", "orderly"),
		attribute.String("service.version", cfg.Version),
		attribute.String("service.instance.id", cfg.NodeID),
	), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("telemetry: OTEL_RESOURCE_ATTRIBUTES: %w: want key=value pairs separated by commas", err)
	}
	exporter, err := newSpanExporter(ctx)
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	if exporter != nil {
		tracers := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(res))
		t.tracers = tracers
		t.shutdowns = append(t.shutdowns, tracers.Shutdown)
	}
	meters, err := newMeterProvider(t.registry, res)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("telemetry: %w", err), t.Shutdown(ctx))
	}
	t.meters = meters
	t.shutdowns = append(t.shutdowns, meters.Shutdown)
	return t, nil
}

// Tracer starts the program's spans.
func (t *Telemetry) Tracer() trace.Tracer { return t.tracers.Tracer(scope) }

// Meter makes the program's instruments.
func (t *Telemetry) Meter() metric.Meter { return t.meters.Meter(scope) }

// Shutdown exports the pending spans until ctx ends. Later spans and measurements are dropped. Failures of the export are in the
// error, or logged.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	var problems []error
	for _, shutdown := range t.shutdowns {
		problems = append(problems, shutdown(ctx))
	}
	t.shutdowns = nil
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("telemetry: shut down: %w", err)
	}
	return nil
}
