package main

import (
	"context"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/node/config"
)

func newRun(t terminal) *cobra.Command {
	var demo bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run a node; with --demo also demo services and a first load of sample orders",
		Long: `Run a node until SIGTERM or Ctrl-C, then carry on with the orders in memory for at most ORDERLY_DRAIN_TIMEOUT and
stop. A second signal stops at once; nothing is lost either way.

Without NATS_URL the node carries its own NATS server, with its store in ORDERLY_DATA_DIR.`,
		Args: arguments(),
	}
	cmd.Flags().BoolVar(&demo, "demo", false, "also run demo services (inventory, payments, shipping) and publish sample orders")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.Load(t.environ)
		if err != nil {
			return err
		}
		tuneGC()
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
		defer stop()
		// The second signal aborts the drain.
		abort, done := context.WithCancel(context.Background())
		defer done()
		go func() {
			select {
			case <-ctx.Done():
			case <-abort.Done():
				return
			}
			again, stopAgain := signal.NotifyContext(abort, syscall.SIGTERM, syscall.SIGINT)
			defer stopAgain()
			stop()
			<-again.Done()
			done()
		}()
		return (&node{cfg: cfg, t: t, demo: demo}).run(ctx, abort.Done())
	}
	return cmd
}
