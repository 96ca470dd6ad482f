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
	// Dir is the directory of the database; it is created if it does not exist. Required.
	Dir string
	// Node is this node's name, which is part of each reply.
	Node string
	// Retention is how long rows of ended orders are kept: as long as the journal keeps their events. Default 720 hours.
	Retention time.Duration
	// Rebuild discards the database once and reads the journal from its beginning.
	Rebuild bool
	// Interval between two reads of the journal; default 100 ms.
	Interval time.Duration
	// Hold is how long a change of a running or compensating order waits for the next one before it is written to the
	// database; replies have it at once. Default 2 s.
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

// Validate returns an error if a value is missing or out of range.
func (c Config) Validate() error {
	if c.Dir == "" {
		return errors.New("index: a directory for the database is required")
	}
	if c.Retention < 0 || c.Interval < 0 || c.Hold < 0 {
		return errors.New("index: retention, interval and hold must not be negative")
	}
	return nil
}
