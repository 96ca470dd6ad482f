package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages/health"
)

// Config of an Engine. The zero value of every field means its default.
type Config struct {
	// Node is this program's name in the journal; default the host name.
	Node string
	// Functions are those that URLs func:<name> of the plan call, and those of earlier plans that still have orders.
	Functions Functions
	// Downstreams are the services that plans name; default none. An order whose plan names another one is parked until a
	// program that has it gets the order.
	Downstreams *Downstreams
	// MaxInFlight bounds the orders in memory; default 4096.
	MaxInFlight int
	// AckWait is how long a delivery may go without an acknowledgement or a progress report; default 5 seconds.
	AckWait time.Duration
	// Hold is the longest wait in memory before an order is parked; default 10 seconds.
	Hold time.Duration
	// UnknownAge is how long a message about an order that does not exist is kept; default 1 minute.
	UnknownAge time.Duration
	// DrainTimeout bounds a graceful stop, also while NATS does not answer; default 20 seconds.
	DrainTimeout time.Duration
	// JetStream is where the streams are, on the engine's connection: in another domain, or behind an API prefix. Default:
	// jetstream.New on that connection.
	JetStream jetstream.JetStream
	// Replicas of the streams; default 1.
	Replicas int
	// Retention is how long the events of ended orders are kept; default 720 hours. It must be longer than any client
	// publishes the same order again.
	Retention time.Duration
	// DeadRetention is how long dead letters are kept; default 2160 hours (90 days).
	DeadRetention time.Duration
	// Store measures the store of the streams; default: the limits of the account. While it has no room, no new order is accepted.
	Store ingress.Store
	// OwnStore: no other program configures the streams, so that the engine sets the limit of an existing inbox too.
	OwnStore bool
	// GroupCommit batches the appends of many orders, which saves syncs on servers that sync before they acknowledge.
	GroupCommit bool

	// Health gets the checks of the engine's work. Its failures, also those of the program's own checks, make the engine unready.
	Health *health.Monitor

	Logger *slog.Logger
	Meter  metric.Meter
	Tracer trace.Tracer
}

// ErrConfig is wrapped by errors about a Config.
var ErrConfig = errors.New("engine configuration")

// Validate reports every field that is negative.
func (c Config) Validate() error {
	var errs []error
	for _, n := range []struct {
		field string
		value int
	}{{"MaxInFlight", c.MaxInFlight}, {"Replicas", c.Replicas}} {
		if n.value < 0 {
			errs = append(errs, fmt.Errorf("%s is %d", n.field, n.value))
		}
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"AckWait", c.AckWait}, {"Hold", c.Hold}, {"UnknownAge", c.UnknownAge}, {"DrainTimeout", c.DrainTimeout}, {"Retention", c.Retention},
		{"DeadRetention", c.DeadRetention},
	} {
		if d.value < 0 {
			errs = append(errs, fmt.Errorf("%s is %s", d.field, d.value))
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("%w: want no negative value: %w", ErrConfig, errors.Join(errs...))
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Node == "" {
		c.Node, _ = os.Hostname()
	}
	if c.Node == "" {
		c.Node = "node"
	}
	if c.MaxInFlight == 0 {
		c.MaxInFlight = ingress.DefaultMaxInFlight
	}
	if c.AckWait == 0 {
		c.AckWait = ingress.DefaultAckWait
	}
	if c.Hold == 0 {
		c.Hold = 10 * time.Second
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = 20 * time.Second
	}
	if c.Retention == 0 {
		c.Retention = 30 * 24 * time.Hour
	}
	if c.DeadRetention == 0 {
		c.DeadRetention = 90 * 24 * time.Hour
	}
	if c.Health == nil {
		c.Health = &health.Monitor{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Meter == nil {
		c.Meter = metricnoop.Meter{}
	}
	if c.Tracer == nil {
		c.Tracer = tracenoop.Tracer{}
	}
	return c
}

func (c Config) jetStream(nc *nats.Conn) (jetstream.JetStream, error) {
	if c.JetStream != nil {
		return c.JetStream, nil
	}
	return jetstream.New(nc)
}
