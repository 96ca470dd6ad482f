package ingress

import (
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
)

// Defaults and limits of Config.
const (
	DefaultMaxInFlight = 4096
	MinMaxInFlight     = 2
	DefaultPoll        = 10 * time.Second
)

// heldPerSecond bounds the deliveries held for each second of the ack wait. Each wants three signs of life in that time:
// a server that gets more than it can take falls behind with everything else, delivers again what is in good hands, and
// does not recover by itself.
const heldPerSecond = 1024

// Config of an Inbox.
type Config struct {
	// MaxInFlight bounds the deliveries this node holds, from the moment they are asked for until they are settled;
	// default DefaultMaxInFlight. There are at most 1024 for each second of AckWait, whatever it says. An eighth of them is
	// kept for wake-ups, so that neither they nor orders starve.
	MaxInFlight int
	// AckWait is that of the consumers; default DefaultAckWait.
	AckWait time.Duration
	// GroupAck acknowledges messages about orders many at a time: for a server by itself that syncs every write.
	GroupAck bool
	// PollInterval is how often the lag of the inbox is asked for; default DefaultPoll.
	PollInterval time.Duration
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
		c.PollInterval = DefaultPoll
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Meter == nil {
		c.Meter = metricnoop.NewMeterProvider().Meter("")
	}
	return c
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	c = c.withDefaults()
	if c.MaxInFlight < MinMaxInFlight || c.MaxInFlight > MaxAckPending {
		return fmt.Errorf("max in flight is %d: want %d–%d", c.MaxInFlight, MinMaxInFlight, MaxAckPending)
	}
	if c.AckWait < 100*time.Millisecond {
		return fmt.Errorf("ack wait is %s: want at least 100ms", c.AckWait)
	}
	if c.PollInterval < 0 {
		return fmt.Errorf("poll is %s: want more than 0", c.PollInterval)
	}
	return nil
}

// room is how many deliveries are held at most.
func (c Config) room() int {
	return min(c.MaxInFlight, max(MinMaxInFlight, int(heldPerSecond*c.AckWait.Seconds())))
}

// shares divides the room between orders and wake-ups.
func (c Config) shares() (orders, wakes int) {
	wakes = max(1, c.room()/8)
	return c.room() - wakes, wakes
}
