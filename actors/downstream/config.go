package downstream

import (
	"log/slog"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
)

// What decides when a downstream is out, and how it is tried and met again.
const (
	// failuresToOpen failures in a row open a circuit.
	failuresToOpen = 5
	// trials is how many calls an open circuit lets through at once when it is time, and how many must succeed in a row.
	trials = 3
	// The n-th try of an outage comes after firstTry·2ⁿ⁻¹, at most lastTry, less up to half of it at random.
	firstTry = time.Second
	lastTry  = 10 * time.Second

	// The jitter of a park grows with the age of the outage, within these bounds, and on with a tenth of the age: every park
	// adds to the order's history, which is read with each.
	minSpread    = time.Second
	maxSpread    = 45 * time.Second
	longPatience = 10
	longSpread   = 30 * time.Minute
	// wakesPerSecond bounds how many parked orders per downstream come back to find out how it is.
	wakesPerSecond = 500

	// stage is how long a pace lasts.
	stage = time.Second
	// minPace is the slowest beginning, in calls per second. maxPace is no pace any more.
	minPace = 10
	maxPace = 100_000
	// cautious is the share of the known throughput that the return begins with. The pace doubles up to bold times that
	// throughput, but at least to surePace; from there it grows by gently per stage. Where the last return was too fast, it
	// doubles up to the share tooFast of the pace that was, and grows by warily. Either growth itself grows by hastening per
	// stage, so that a pace far below what the downstream takes does not last.
	cautious  = 1. / 8
	bold      = 2
	surePace  = 100
	gently    = 0.005
	tooFast   = 0.7
	warily    = 0.001
	hastening = 1.02
	// fading is how much of the best throughput of late still counts a second later.
	fading = 0.8
	// rampWait is the longest wait in memory for the pace.
	rampWait = time.Second

	// maxBusy bounds a park for want of room.
	maxBusy = time.Minute
)

// defaultHold is the longest wait for a permit.
const defaultHold = 10 * time.Second

// Config holds what a Guard does not need but may use. The zero value works.
type Config struct {
	// Hold is the longest wait in memory for a permit. Default 10 seconds.
	Hold time.Duration
	// Rand draws jitter, uniform in [0,1). Default math/rand.
	Rand   func() float64
	Logger *slog.Logger
	Meter  metric.Meter
}

func (c Config) withDefaults() Config {
	if c.Hold <= 0 {
		c.Hold = defaultHold
	}
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Meter == nil {
		c.Meter = metricnoop.Meter{}
	}
	return c
}
