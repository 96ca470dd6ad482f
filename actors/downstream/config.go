package downstream

import (
	"log/slog"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
)

// The circuit opens when replies fail or stop.
const (
	// window is the time over which the failure rate is taken, and the longest delay between two rounds of trial calls.
	window = 10 * time.Second
	// maxFailureRate opens the circuit once minCalls calls have ended within window. An order has ten attempts by default:
	// at a failure rate of half, one in a thousand orders spends them all.
	maxFailureRate = 0.5
	// minCalls prevents openings by chance: of 100 calls that fail with a probability of 30 %, half fail once in 50,000 times.
	minCalls = 100
	// The no-reply detector reports an outage after noReplyFailures failures without a single reply, once noReplyCalls calls
	// are without one (a service that fails half of its calls gets there once in a million times) or noReplyTime has passed.
	noReplyFailures = 5
	noReplyCalls    = 20
	noReplyTime     = 3 * time.Second
	// trialCalls is how many calls an open circuit lets through at a time, how many successes close it, and how many
	// failures open it again. A service that fails 30 % at random closes the circuit in five of six trials.
	trialCalls = 3
)

// Orders park while the circuit is open, and return at a growing rate.
const (
	// minDelay and maxSpread bound the jitter of a park in the first minutes of an outage, maxLongSpread the one later.
	// minDelay is also the shortest delay before trial calls.
	minDelay      = time.Second
	maxSpread     = 45 * time.Second
	maxLongSpread = 30 * time.Minute
	// maxReturnRate bounds how many parked orders per second and downstream are woken to try again.
	maxReturnRate = 1000
	// maxSlowStartPark is the longest park by slow start, unless more orders return than maxReturnRate allows.
	maxSlowStartPark = 20 * time.Second
	// initialFraction is the share of the known throughput that slow start begins with; minRate, in calls per second, is the
	// lowest rate it begins with.
	initialFraction = 1. / 8
	minRate         = 10
)

// defaultHold is the longest wait for a permit.
const defaultHold = 10 * time.Second

// Config holds the optional dependencies and settings of a Guard. The zero value works.
type Config struct {
	// Hold is the longest wait in memory for a permit. Default 10 seconds.
	Hold time.Duration
	// Rand draws jitter, uniform in [0,1). Default math/rand.
	Rand func() float64
	// ServerTime converts a time of this node to the clock by which parks end. Default: they are the same.
	ServerTime func(time.Time) time.Time
	// Logger gets a line when a circuit opens and when it closes. Default: none.
	Logger *slog.Logger
	// Meter creates the instruments. Default: none.
	Meter metric.Meter
}

func (c Config) withDefaults() Config {
	if c.Hold <= 0 {
		c.Hold = defaultHold
	}
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	if c.ServerTime == nil {
		c.ServerTime = func(t time.Time) time.Time { return t }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Meter == nil {
		c.Meter = metricnoop.Meter{}
	}
	return c
}
