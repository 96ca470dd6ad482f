package journal

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
)

const (
	// serverBatchMax is the most messages nats-server takes in one atomic batch unless its limits say otherwise.
	serverBatchMax = 1000
	batchMaxMax    = 10_000
)

// Config of a Journal. The zero value is usable.
type Config struct {
	// Node is the node's name, for logs.
	Node string
	// GroupCommit shares syncs to disk: appends that wait at the same time become one atomic batch.
	GroupCommit bool
	// BatchMax is the most appends in one batch, 1–10000; default 1000, which is also what a server takes unless its
	// JetStream limit max_batch_size is raised.
	BatchMax int
	// Alone says that the stream is kept by one server outside any cluster, so that whatever it answers is up to date.
	// While the connection is to a cluster it has no effect.
	SingleServer bool
	// AckTimeout is how long a reply is waited for; default 5 seconds.
	AckTimeout time.Duration
	Logger     *slog.Logger
	Meter      metric.Meter
}

func (c Config) withDefaults() Config {
	if c.BatchMax == 0 {
		c.BatchMax = serverBatchMax
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

// Validate reports everything that is wrong.
func (c Config) Validate() error {
	var errs []error
	if c.BatchMax < 0 || c.BatchMax > batchMaxMax {
		errs = append(errs, fmt.Errorf("journal batch of %d appends: want 1–%d, or 0 for the default", c.BatchMax, batchMaxMax))
	}
	if c.AckTimeout < 0 {
		errs = append(errs, fmt.Errorf("journal acknowledgement time-out %s is negative", c.AckTimeout))
	}
	return errors.Join(errs...)
}
