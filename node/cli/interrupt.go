package cli

import (
	"context"
	"errors"
	"io"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// errInterrupted ends a command that a person, or whoever runs it, has stopped before its end.
var errInterrupted = errors.New("interrupted")

// interruptible lets SIGINT and SIGTERM end the context of commands and of those below them, so that each puts away what
// it has at the server and says how far it came. A second signal ends the process at once.
func interruptible(cmds ...*cobra.Command) []*cobra.Command {
	for _, cmd := range cmds {
		interruptible(cmd.Commands()...)
		run := cmd.RunE
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			defer context.AfterFunc(ctx, stop)() // the next signal is not ours
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

// readWhile has f read in until ctx ends. A read of a terminal or a pipe that is under way then cannot be ended: it is
// left behind, and what it reads is lost.
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
