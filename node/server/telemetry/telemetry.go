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

// scope names this program in what it measures.
const scope = "github.com/orderly-engine/orderly"

// Config of a Telemetry. The standard OTEL_ variables of the process win over it.
type Config struct {
	// NodeID tells this run of the program from all others (service.instance.id). Required.
	NodeID string
	// Version of the program (service.version). Default "devel".
	Version string
	// Logger takes what goes wrong with exporting. Default: none.
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

// Telemetry is where a node's spans and measurements go.
type Telemetry struct {
	tracers  trace.TracerProvider
	meters   metric.MeterProvider
	registry *prometheus.Registry
	// shutdowns end what was set up, in this order.
	shutdowns []func(context.Context) error
	exporting bool
}

// Setup follows the OTEL_ variables: spans go to the OTLP endpoint if one is set and nowhere otherwise; with
// OTEL_SDK_DISABLED=true nothing is recorded. The error names the variable that is wrong.
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

	// The environment comes last, so that it wins.
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
		t.tracers, t.exporting = tracers, true
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

// Exporting reports whether spans are sent anywhere.
func (t *Telemetry) Exporting() bool { return t.exporting }

// Tracer starts the program's spans.
func (t *Telemetry) Tracer() trace.Tracer { return t.tracers.Tracer(scope) }

// Meter makes the program's instruments.
func (t *Telemetry) Meter() metric.Meter { return t.meters.Meter(scope) }

// Shutdown sends what is not sent yet, for as long as ctx allows, and ends. Spans and measurements that come later are
// dropped. What could not be sent is in the error, or was logged.
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
