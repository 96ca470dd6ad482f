package cli

import (
	"context"
	"errors"
	"io"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// errInterrupted ends a command that a signal stopped.
var errInterrupted = errors.New("interrupted")

// interruptible makes SIGINT and SIGTERM end the context of the commands and their subcommands, so that each removes its
// consumers and prints its progress. A second signal ends the process at once.
func interruptible(cmds ...*cobra.Command) []*cobra.Command {
	for _, cmd := range cmds {
		interruptible(cmd.Commands()...)
		run := cmd.RunE
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			defer context.AfterFunc(ctx, stop)() // the next signal has its default effect
			cmd.SetContext(ctx)
			err := run(cmd, args)
			if ctx.Err() != nil && errors.Is(err, context.Canceled) {
				return errInterrupted
			}
			return err
		}
	}
	return cmds
}

// readWhile lets f read in until ctx ends. A pending read of a terminal or a pipe cannot be interrupted: its goroutine stays
// until it returns, and its data is lost.
func readWhile(ctx context.Context, in io.Reader, f func(io.Reader) error) error {
	r, w := io.Pipe()
	defer r.Close()
	defer context.AfterFunc(ctx, func() { _ = w.CloseWithError(ctx.Err()) })()
	go func() {
		_, err := io.Copy(w, in)
		_ = w.CloseWithError(err)
	}()
	return f(r)
}
