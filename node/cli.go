package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// terminal is what a command talks to.
type terminal struct {
	in       io.Reader
	out, err io.Writer
	environ  []string
}

// errUsage is wrapped by errors about how a command was called.
var errUsage = errors.New("wrong use")

// usage makes err one about how the command was called.
func usage(err error) error { return fmt.Errorf("%w: %w", errUsage, err) }

// errSilent ends a command as failed that has said everything itself.
var errSilent = errors.New("failed")

// execute runs the command line and returns the exit code. An error is one line on standard error, or one per problem.
func execute(ctx context.Context, args []string, t terminal) int {
	root := newRoot(t)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errSilent):
		return exitFailed
	case errors.Is(err, errUsage):
		fmt.Fprintf(t.err, "orderly: %s\n", strings.TrimPrefix(err.Error(), errUsage.Error()+": "))
		return exitUsage
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(t.err, "orderly: %s\n", line)
	}
	return exitFailed
}

const about = `Orderly carries orders to their end on NATS JetStream.

An order published to ORDER.<order_id> is driven through the steps of a plan; what was done is undone when the order
cannot go on; every fact is in a journal. Nodes, brokers and downstream services may die at any moment: no order is
lost, and none is acted on twice.

Start with:   orderly run --demo
Then:         orderly publish -n 100 --wait

Settings come from the environment; "orderly config" shows them. Client commands find the server by NATS_URL
(default ` + defaultURL + `). Exit codes: 0 success, 1 failed, 2 wrong use.`

func newRoot(t terminal) *cobra.Command {
	root := &cobra.Command{
		Use:           "orderly",
		Short:         "Carry orders to their end on NATS JetStream",
		Long:          about,
		Args:          arguments(cobra.NoArgs),
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
		return usage(fmt.Errorf(`%w; see "%s --help"`, err, cmd.CommandPath()))
	})
	root.AddCommand(
		newRun(t), newPublish(t), newGet(t),
		newCancel(t), newSignal(t), newRetry(t), newSkip(t),
		newDead(t), newVerify(t), newBench(t), newHealth(t), newConfig(t), newVersion(t),
	)
	return root
}

// arguments makes a complaint about positional arguments one about wrong use.
func arguments(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usage(fmt.Errorf(`%w; see "%s --help"`, err, cmd.CommandPath()))
		}
		return nil
	}
}

// format is the value of -o.
type format string

const (
	formatText format = "text"
	formatJSON format = "json"
)

func (f *format) String() string { return string(*f) }
func (f *format) Type() string   { return "text|json" }

// Set takes text or json.
func (f *format) Set(s string) error {
	switch format(s) {
	case formatText, formatJSON:
		*f = format(s)
		return nil
	}
	return errors.New("want text or json")
}

// outputFlag adds -o to cmd.
func outputFlag(cmd *cobra.Command) *format {
	f := formatText
	cmd.Flags().VarP(&f, "output", "o", "how to print")
	return &f
}
