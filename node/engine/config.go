package engine

import (
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
)

// Config of an Engine. The zero value of every field means its default.
type Config struct {
	// Node is this node's name. Required.
	Node string
	// Plan is pinned to the orders accepted from now on; default the built-in order plan. What it leaves open has the
	// defaults of a plan file.
	Plan *messages.Plan
	// Functions are the steps and undos that this program performs itself, by the name in their targets func:<name>.
	Functions Functions
	// MaxInFlight bounds the orders in memory; default 4096.
	MaxInFlight int
	// AckWait is how long a delivery may go without a sign of life; default 5 seconds.
	AckWait time.Duration
	// Hold is the longest wait in memory before an order is parked; default 10 seconds.
	Hold time.Duration
	// UnknownAge is how long a message about an order that does not exist is kept; default 1 minute.
	UnknownAge time.Duration
	// DrainTimeout bounds a graceful stop, whatever the server does; default 20 seconds.
	DrainTimeout time.Duration
	// Replicas of the streams; default 1.
	Replicas int
	// GroupCommit shares syncs between the appends of many orders: for servers that sync before they acknowledge.
	GroupCommit bool

	Logger *slog.Logger
	Meter  metric.Meter
	Tracer trace.Tracer
}

func (c Config) withDefaults() Config {
	if c.Plan == nil {
		c.Plan = plan.Builtin()
	}
	c.Plan = plan.WithDefaults(c.Plan)
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
