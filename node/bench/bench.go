package bench

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"
)

// Report is the result of a measurement.
type Report struct {
	Date   time.Time `json:"date"`
	CPUs   int       `json:"cpus"`
	Go     string    `json:"go"`
	System string    `json:"system"`
	Orders int       `json:"orders"`
	Rounds int       `json:"rounds"`
	Rate   int       `json:"rate"`
	Steps  Steps     `json:"steps"`
	Modes  []Result  `json:"modes"`
	// Waiting is the live heap of one order that waits for a step.
	Waiting Memory `json:"waiting_order"`
}

// Result of one durability. Each figure is the median over the rounds.
type Result struct {
	Mode   Mode       `json:"mode"`
	Raw    Throughput `json:"raw"`
	Engine Throughput `json:"engine"`
	// Ratio of the engine's rate to the raw loop's: the median of the rounds' own ratios.
	Ratio float64 `json:"ratio"`
	// RawLatency is that of the raw loop, which waits for the same writes in sequence.
	RawLatency Latency `json:"raw_latency"`
	Latency    Latency `json:"latency"`
	// Index is nil without Config.Index.
	Index *Indexed `json:"index,omitempty"`
}

// Run measures. It starts its own servers and removes them.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	cfg = cfg.withDefaults()
	report := &Report{
		Date: time.Now(), CPUs: runtime.GOMAXPROCS(0), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH,
		Orders: cfg.Orders, Rounds: cfg.Rounds, Rate: cfg.Rate, Steps: cfg.Steps,
	}
	for _, mode := range cfg.Modes {
		result, err := measureMode(ctx, cfg, mode)
		if err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
		report.Modes = append(report.Modes, result)
	}
	fmt.Fprintf(cfg.Progress, "memory of %d waiting orders …\n", cfg.Waiting)
	var err error
	if report.Waiting, err = measureMemory(ctx, cfg); err != nil {
		return nil, fmt.Errorf("bench: memory: %w", err)
	}
	return report, nil
}

func measureMode(ctx context.Context, cfg Config, mode Mode) (Result, error) {
	var raws, engines []Throughput
	var ratios []float64
	var indexes []Indexed
	rawLoop := func(g *benchServer) (workload, error) { return startRaw(ctx, g, cfg.InFlight, false) }
	engine := func(g *benchServer) (workload, error) { return startSteps(ctx, g, cfg) }
	for round := range cfg.Rounds {
		raw, err := measureThroughput(ctx, cfg, mode, rawLoop)
		if err != nil {
			return Result{}, fmt.Errorf("raw loop: %w", err)
		}
		ours, err := measureThroughput(ctx, cfg, mode, engine)
		if err != nil {
			return Result{}, fmt.Errorf("engine: %w", err)
		}
		ratio := ours.OrdersPerSecond / raw.OrdersPerSecond
		line := fmt.Sprintf("%s, round %d of %d: raw %.0f orders/s, engine %.0f orders/s, ratio %.2f",
			mode, round+1, cfg.Rounds, raw.OrdersPerSecond, ours.OrdersPerSecond, ratio)
		raws, engines, ratios = append(raws, raw), append(engines, ours), append(ratios, ratio)
		if cfg.Index {
			with, err := measureIndexed(ctx, cfg, mode, ours)
			if err != nil {
				return Result{}, fmt.Errorf("engine with index: %w", err)
			}
			line += fmt.Sprintf("; with index %.0f orders/s, ratio %.2f, lag at most %s", with.OrdersPerSecond, with.Ratio, roundDuration(with.Behind))
			indexes = append(indexes, with)
		}
		fmt.Fprintln(cfg.Progress, line)
	}
	fmt.Fprintf(cfg.Progress, "%s: latency at %d orders/s …\n", mode, cfg.Rate)
	result := Result{Mode: mode, Raw: medianThroughput(raws), Engine: medianThroughput(engines), Ratio: median(ratios)}
	var err error
	if result.RawLatency, err = measureLatency(ctx, cfg, mode, rawLoop); err != nil {
		return Result{}, fmt.Errorf("latency of the raw loop: %w", err)
	}
	if result.Latency, err = measureLatency(ctx, cfg, mode, engine); err != nil {
		return Result{}, fmt.Errorf("latency: %w", err)
	}
	if cfg.Index {
		result.Index = medianIndexed(indexes)
	}
	return result, nil
}

func medianThroughput(ts []Throughput) Throughput {
	rates, cpus := make([]float64, len(ts)), make([]time.Duration, len(ts))
	for i, t := range ts {
		rates[i], cpus[i] = t.OrdersPerSecond, t.CPUPerOrder
	}
	return Throughput{OrdersPerSecond: median(rates), CPUPerOrder: median(cpus)}
}

func median[T cmp.Ordered](values []T) T {
	slices.Sort(values)
	return values[len(values)/2]
}
