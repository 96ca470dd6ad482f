package ingress

import (
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"

	"github.com/orderly-engine/orderly/messages/budget"
	"github.com/orderly-engine/orderly/messages/health"
)

// Defaults and limits of Config.
const (
	DefaultMaxInFlight  = 4096
	MinMaxInFlight      = 2
	DefaultPollInterval = 10 * time.Second
)

// maxHeldPerSecond bounds the deliveries held per second of AckWait. Each is extended three times within AckWait; a server
// that cannot keep up with that redelivers messages that are held, which adds load, so that it does not recover by itself.
const maxHeldPerSecond = 1024

// Config of an Inbox.
type Config struct {
	// MaxInFlight bounds the deliveries that this node has requested or holds; default DefaultMaxInFlight. At most 1024 per
	// second of AckWait count. One eighth is reserved for wake-ups, so that wake-ups and orders do not starve each other.
	MaxInFlight int
	// AckWait is that of the consumers; default DefaultAckWait.
	AckWait time.Duration
	// GroupAck acknowledges messages about orders by purges, many at a time: for a single server that syncs every write.
	GroupAck bool
	// Clock is the server's; default the node's own.
	Clock *Clock
	// PollInterval is the time between two reads of the inbox's lag and of the server's clock; default DefaultPollInterval.
	PollInterval time.Duration
	// Memory counts the deliveries that are held; default none. When it is half full no more messages about orders are requested, and
	// when it is full what arrives is nak'ed before it is decoded.
	Memory *budget.Budget
	// Health gets a check of each consumer and of the dead letters; default none.
	Health *health.Monitor
	// Logger defaults to slog.Default.
	Logger *slog.Logger
	// Meter defaults to none.
	Meter metric.Meter
}

func (c Config) withDefaults() Config {
	if c.MaxInFlight == 0 {
		c.MaxInFlight = DefaultMaxInFlight
	}
	if c.AckWait == 0 {
		c.AckWait = DefaultAckWait
	}
	if c.PollInterval == 0 {
		c.PollInterval = DefaultPollInterval
	}
	if c.Health == nil {
		c.Health = &health.Monitor{}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Meter == nil {
		c.Meter = metricnoop.NewMeterProvider().Meter("")
	}
	return c
}

// Validate returns an error that names the invalid field.
func (c Config) Validate() error {
	c = c.withDefaults()
	if c.MaxInFlight < MinMaxInFlight || c.MaxInFlight > MaxAckPending {
		return fmt.Errorf("max in flight is %d: want %d–%d", c.MaxInFlight, MinMaxInFlight, MaxAckPending)
	}
	if c.PollInterval < 0 {
		return fmt.Errorf("poll interval is %s: want more than 0", c.PollInterval)
	}
	return checkAckWait(c.AckWait)
}

func checkAckWait(d time.Duration) error {
	if d < 100*time.Millisecond {
		return fmt.Errorf("ack wait is %s: want at least 100ms", d)
	}
	return nil
}

// capacity is the largest number of deliveries held at a time.
func (c Config) capacity() int {
	return min(c.MaxInFlight, max(MinMaxInFlight, int(maxHeldPerSecond*c.AckWait.Seconds())))
}

// split divides the capacity between orders and wake-ups.
func (c Config) split() (orders, wakes int) {
	wakes = max(1, c.capacity()/8)
	return c.capacity() - wakes, wakes
}
