package cli

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/node/server"
	"github.com/orderly-engine/orderly/node/server/config"
)

func newRun(t terminal) *cobra.Command {
	var demo bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run a node; with --demo also demo services and sample orders",
		Long: `Run a node until SIGTERM or Ctrl-C, then finish the orders in memory for at most ORDERLY_DRAIN_TIMEOUT and stop. A second
signal stops at once; no order is lost in either case.

Without NATS_URL the node embeds a NATS server, with its store in ORDERLY_DATA_DIR.`,
		Args: arguments(),
	}
	cmd.Flags().BoolVar(&demo, "demo", false, "also run demo services (inventory, payments, shipping) and publish sample orders")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.Load(t.environ)
		if err != nil {
			return err
		}
		server.TuneGC()
		server.LimitMemory()
		ctx, stop := context.WithCancel(cmd.Context())
		defer stop()
		abort, unhook := onSignals(stop)
		defer unhook()
		return server.Run(ctx, cfg, server.Options{Version: version, Demo: demo, Stdout: t.out, Stderr: t.err}, abort)
	}
	return cmd
}

// onSignals calls stop at the first signal and closes abort at the second. The third ends the process. Call unhook after use.
func onSignals(stop func()) (abort <-chan struct{}, unhook func()) {
	signals, second, ended := make(chan os.Signal, 2), make(chan struct{}), make(chan struct{})
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	var wg sync.WaitGroup
	wg.Go(func() {
		for _, act := range []func(){stop, func() { close(second); signal.Stop(signals) }} {
			select {
			case <-signals:
				act()
			case <-ended:
				return
			}
		}
	})
	return second, func() {
		signal.Stop(signals)
		close(ended)
		wg.Wait()
	}
}
