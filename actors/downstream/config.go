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
	// A circuit opens for one of two reasons: failureShare of the calls that ended within window failed, or silence.
	//
	// The share counts from minVolume calls on: of a hundred of which 30 % fail at random, half fail once in 50,000 times.
	// Half is what the ten attempts of an order can bear: one order in a thousand would spend them all.
	failureShare = 0.5
	window       = 10 * time.Second
	minVolume    = 100
	// Silence is an outage after fewFailures failures if none of the last manyCalls calls was answered, which befalls a
	// service that fails half of its calls once in a million times, for patientFor times as long as answers usually take:
	// a service that turns a burst away in part refuses first and answers later. Where fewer calls come, or answers take
	// longer, longSilence is enough; where nobody ever answered, that nobody listens.
	fewFailures = 5
	manyCalls   = 20
	patientFor  = 2
	longSilence = 3 * time.Second
	// usualGuess stands in for how long answers take until there was one; then it is a mean over about usualOver of them.
	usualGuess = 50 * time.Millisecond
	usualOver  = 16
	// trials is how many calls an open circuit lets through at once when it is time, how many successes close it, and how
	// many failures open it again: a service that fails 30 % at random is met again at five tries of six.
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
