package journal

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/orderly-engine/orderly/messages/health"
	"github.com/orderly-engine/orderly/messages/natsclient"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
)

const batchMaxMax = 10_000

// Config of a Journal. The zero value is usable.
type Config struct {
	// Node is the node's name, for logs.
	Node string
	// GroupCommit shares syncs to disk: appends that wait at the same time become one atomic batch.
	GroupCommit bool
	// BatchMax is the largest number of appends in one batch, 1–10000; default natsclient.DefaultBatchMax.
	BatchMax int
	// SingleServer: the stream is on one server outside any cluster, so that all its replies are up to date. It has no
	// effect while the connection is to a cluster.
	SingleServer bool
	// AckTimeout is the longest wait for a reply; default 5 seconds.
	AckTimeout time.Duration
	// Health gets the results of appends; default none.
	Health *health.Check
	Logger *slog.Logger
	Meter  metric.Meter
}

func (c Config) withDefaults() Config {
	if c.BatchMax == 0 {
		c.BatchMax = natsclient.DefaultBatchMax
	}
	if c.AckTimeout == 0 {
		c.AckTimeout = 5 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Meter == nil {
		c.Meter = metricnoop.Meter{}
	}
	return c
}

// Validate returns an error for each invalid value.
func (c Config) Validate() error {
	var errs []error
	if c.BatchMax < 0 || c.BatchMax > batchMaxMax {
		errs = append(errs, fmt.Errorf("journal batch of %d appends: want 1–%d, or 0 for the default", c.BatchMax, batchMaxMax))
	}
	if c.AckTimeout < 0 {
		errs = append(errs, fmt.Errorf("journal ack timeout %s is negative", c.AckTimeout))
	}
	return errors.Join(errs...)
}
