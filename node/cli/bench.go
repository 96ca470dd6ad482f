package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/node/bench"
	"github.com/orderly-engine/orderly/node/server"
)

func newBench(t terminal) *cobra.Command {
	var cfg bench.Config
	var parked bench.ParkedConfig
	var modes []string
	var steps string
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure the engine next to the raw JetStream limit of this machine",
		Long: `Measure the engine next to the raw JetStream limit of this machine.

Starts its own NATS servers on loopback with stores in a temporary directory, and removes them. Each round runs the raw loop
(the same publishes, fenced appends and acknowledgements without the engine) and then the engine with in-process steps, or with
steps of services on loopback (--steps nats or http). On a noisy machine rely on the ratio, which is taken within a round.

With --parked N it measures instead the cost of N parked orders and how they resume: all at once, or within --window, on
another node than the one that parked them, while other orders arrive at --rate.`,
		Args: arguments(),
	}
	cmd.Flags().IntVarP(&cfg.Orders, "orders", "n", 20_000, "orders per round")
	cmd.Flags().IntVar(&cfg.Rounds, "rounds", 3, "rounds of raw loop and engine in turn")
	cmd.Flags().IntVar(&cfg.InFlight, "in-flight", 4096, "orders in memory")
	cmd.Flags().IntVar(&cfg.Rate, "rate", 50, "orders per second of the latency measurement")
	cmd.Flags().IntVar(&cfg.Samples, "samples", 500, "orders of the latency measurement")
	cmd.Flags().IntVar(&cfg.Waiting, "waiting", 5_000, "orders of the memory measurement")
	cmd.Flags().StringVar(&steps, "steps", "func", "steps of the orders: func (in process), or calls of services over nats or http")
	cmd.Flags().BoolVar(&cfg.Index, "index", false, "also measure the engine while it maintains an index of orders")
	cmd.Flags().StringVar(&cfg.Dir, "dir", "", "directory of the stores (default: the temporary directory)")
	cmd.Flags().StringSliceVar(&modes, "durability", []string{"relaxed", "strict"}, "durabilities to measure")
	cmd.Flags().IntVar(&parked.Orders, "parked", 0, "measure this many parked orders instead")
	cmd.Flags().DurationVar(&parked.Window, "window", 0, "time over which the timers of the parked orders are due (default: all at once)")
	cmd.Flags().DurationVar(&parked.Ahead, "ahead", 0, "time from the first publish to the first timer (default: 30s and 1ms for each order)")
	cmd.MarkFlagsMutuallyExclusive("parked", "orders")
	cmd.MarkFlagsMutuallyExclusive("parked", "steps")
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		for _, m := range modes {
			cfg.Modes = append(cfg.Modes, bench.Mode(m))
		}
		cfg.Steps = bench.Steps(steps)
		server.TuneGC()
		if cmd.Flags().Changed("parked") {
			parked.InFlight, parked.Rate, parked.Dir, parked.Modes = cfg.InFlight, cfg.Rate, cfg.Dir, cfg.Modes
			return benchParked(cmd.Context(), t, parked, *output)
		}
		if err := cfg.ValidateCounts(); err != nil {
			return usage(err)
		}
		cfg.Progress = t.err
		report, err := bench.Run(cmd.Context(), cfg)
		if err != nil {
			return err
		}
		return writeResult(t.out, *output, report)
	}
	return cmd
}

func benchParked(ctx context.Context, t terminal, cfg bench.ParkedConfig, output format) error {
	if err := cfg.ValidateCounts(); err != nil {
		return usage(err)
	}
	cfg.Progress = t.err
	report, err := bench.RunParked(ctx, cfg)
	if err != nil {
		return err
	}
	return writeResult(t.out, output, report)
}
