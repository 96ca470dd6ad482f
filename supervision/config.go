package supervision

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/orderly-engine/orderly/messages/backoff"
)

// MaxShards is the largest number of shard supervisors.
const MaxShards = 64

// ErrConfig is wrapped by the errors of Config.Validate.
var ErrConfig = errors.New("supervision config")

// Config adjusts a Tree. The zero value of every field means its default. The function levels shows where budgets and delays
// are used.
type Config struct {
	// Shards is the number of shard supervisors, 1 to MaxShards. Default: twice GOMAXPROCS.
	Shards int
	// Backoff delays the restarts of order actors. Default: 50 ms to 10 s.
	Backoff backoff.Exponential
	// OrderBudget bounds the defects of one order since its last delivery done. Default: 5 within 10 minutes.
	OrderBudget Budget
	// SubsystemBudget bounds the crashes of shard supervisors. Default: 16 within 10 minutes.
	SubsystemBudget Budget
	// OutageLimit bounds the time of infrastructure failures with no delivery done. Default: 1 minute. Negative: no limit.
	OutageLimit time.Duration
	// GiveUpDelay delays the redelivery to an order whose give-up failed. Default: 30 s.
	GiveUpDelay time.Duration

	Logger *slog.Logger
	Meter  metric.Meter
	// Rand draws the jitter, uniform in [0,1). It is called from several goroutines at once.
	Rand func() float64
	// OnEscalation is called at most once, when the subsystem has exceeded its budget, on a goroutine that actors
	// need: it must return at once and call nothing that waits for the tree.
	OnEscalation func(error)
}

// Budget allows Count failures within any span of Within.
type Budget struct {
	Count  int
	Within time.Duration
}

func (c Config) withDefaults() Config {
	if c.Shards == 0 {
		c.Shards = min(2*runtime.GOMAXPROCS(0), MaxShards)
	}
	c.Backoff = c.Backoff.WithDefaults(50*time.Millisecond, 10*time.Second)
	c.OrderBudget = c.OrderBudget.withDefaults(5)
	c.SubsystemBudget = c.SubsystemBudget.withDefaults(16)
	if c.OutageLimit == 0 {
		c.OutageLimit = time.Minute
	}
	if c.GiveUpDelay == 0 {
		c.GiveUpDelay = 30 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Meter == nil {
		c.Meter = noop.Meter{}
	}
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	if c.OnEscalation == nil {
		c.OnEscalation = func(error) {}
	}
	return c
}

func (b Budget) withDefaults(count int) Budget {
	if b.Count == 0 {
		b.Count = count
	}
	if b.Within == 0 {
		b.Within = 10 * time.Minute
	}
	return b
}

// Validate returns an error that names the first field out of its range and wraps ErrConfig.
func (c Config) Validate() error {
	if c.Shards < 0 || c.Shards > MaxShards {
		return fmt.Errorf("%w: Shards is %d: want 1 to %d, or 0 for the default", ErrConfig, c.Shards, MaxShards)
	}
	if c.Backoff.Initial < 0 || c.Backoff.Max < 0 {
		return fmt.Errorf("%w: Backoff is %s to %s: a delay cannot be negative", ErrConfig, c.Backoff.Initial, c.Backoff.Max)
	}
	if b := c.withDefaults().Backoff; b.Max < b.Initial {
		return fmt.Errorf("%w: Backoff is %s to %s: Max must not be below Initial", ErrConfig, b.Initial, b.Max)
	}
	if err := c.OrderBudget.validate("OrderBudget"); err != nil {
		return err
	}
	if err := c.SubsystemBudget.validate("SubsystemBudget"); err != nil {
		return err
	}
	if c.GiveUpDelay < 0 {
		return fmt.Errorf("%w: GiveUpDelay is %s: a delay cannot be negative", ErrConfig, c.GiveUpDelay)
	}
	return nil
}

func (b Budget) validate(field string) error {
	if b.Count < 0 || b.Within < 0 {
		return fmt.Errorf("%w: %s is %d within %s: neither can be negative", ErrConfig, field, b.Count, b.Within)
	}
	return nil
}
