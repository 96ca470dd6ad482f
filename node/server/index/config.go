package index

import (
	"errors"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
)

// Config of an Index. The zero value of every field means its default.
type Config struct {
	// Dir holds the database; it is made if need be. Required.
	Dir string
	// Node is this node's name; it is told with each answer.
	Node string
	// Retention is how long rows of ended orders are kept; as long as the journal keeps their events. Default 720 hours.
	Retention time.Duration
	// Rebuild throws away what is there and reads the journal from its beginning, once.
	Rebuild bool
	// Interval between two looks at the journal; default 100 ms.
	Interval time.Duration
	// Hold is how long a change of an order under way may wait for the next one before it is written to the database;
	// answers have it at once. Default 2 s.
	Hold time.Duration

	Logger *slog.Logger
	Meter  metric.Meter
}

func (c Config) withDefaults() Config {
	if c.Retention == 0 {
		c.Retention = 720 * time.Hour
	}
	if c.Interval == 0 {
		c.Interval = 100 * time.Millisecond
	}
	if c.Hold == 0 {
		c.Hold = 2 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Meter == nil {
		c.Meter = metricnoop.Meter{}
	}
	return c
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	if c.Dir == "" {
		return errors.New("index: a directory for the database is required")
	}
	if c.Retention < 0 || c.Interval < 0 || c.Hold < 0 {
		return errors.New("index: retention, interval and hold must not be negative")
	}
	return nil
}
