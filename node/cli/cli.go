// Package cli is the command line of orderly: one file per command.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/node/timeline"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// terminal is the input, the output and the environment of a command.
type terminal struct {
	in       io.Reader
	out, err io.Writer
	environ  []string
}

// errUsage is wrapped by errors about how a command was called.
var errUsage = errors.New("wrong use")

// usage makes err one about how the command was called.
func usage(err error) error { return fmt.Errorf("%w: %w", errUsage, err) }

// errSilent ends a command as failed that has printed the reason itself.
var errSilent = errors.New("failed")

// Main runs the command line of this process and returns its exit code.
func Main() int {
	return execute(context.Background(), os.Args[1:], terminal{in: os.Stdin, out: os.Stdout, err: os.Stderr, environ: os.Environ()})
}

// execute runs the command line and returns the exit code. An error is one line on standard error, or one for each problem.
func execute(ctx context.Context, args []string, t terminal) int {
	t.out, t.err = printable{t.out}, printable{t.err}
	root := newRoot(t)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errSilent):
		return exitFailed
	}
	for line := range strings.SplitSeq(strings.TrimPrefix(err.Error(), errUsage.Error()+": "), "\n") {
		fmt.Fprintf(t.err, "orderly: %s\n", timeline.Printable(line))
	}
	if errors.Is(err, errUsage) {
		return exitUsage
	}
	return exitFailed
}

const about = `Orderly runs orders to completion on NATS JetStream.

An order that is published to ORDER.<order_id> goes through the steps of a plan. If it cannot complete, the steps that are
done are undone. Every event is journaled. When nodes, brokers or services fail, no order is lost and no step takes effect
twice.

Start with:   orderly run --demo
Then:         orderly publish -n 100 --wait

The configuration comes from the environment; "orderly config" shows it. Client commands connect to NATS_URL
(default ` + defaultURL + `). Exit codes: 0 success, 1 failed, 2 wrong use.`

func newRoot(t terminal) *cobra.Command {
	root := &cobra.Command{
		Use:           "orderly",
		Short:         "Run orders to completion on NATS JetStream",
		Long:          about,
		Args:          arguments(),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
		CompletionOptions: cobra.CompletionOptions{
			HiddenDefaultCmd: true,
		},
	}
	root.SetIn(t.in)
	root.SetOut(t.out)
	root.SetErr(t.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(fmt.Errorf(`%w; see "%s --help"`, explainFlag(err), cmd.CommandPath()))
	})
	root.AddCommand(newRun(t)) // handles signals itself
	root.AddCommand(interruptible(
		newPublish(t), newGet(t), newList(t),
		newCancelAll(t), newSignal(t), newRetryAll(t), newSkipAll(t),
		newDead(t), newPlan(t), newCheckService(t), newDemo(t), newVerify(t), newRepair(t), newWriteOff(t), newBench(t), newHealth(t), newConfig(t), newPermissions(t), newVersion(t),
	)...)
	return root
}
