// Package cli is the command line of orderly: a file for each command.
package cli

import (
	"context"
	"encoding/json"
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

// Main runs the command line of this process and returns its exit code.
func Main() int {
	return execute(context.Background(), os.Args[1:], terminal{in: os.Stdin, out: os.Stdout, err: os.Stderr, environ: os.Environ()})
}

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
	}
	for line := range strings.SplitSeq(strings.TrimPrefix(err.Error(), errUsage.Error()+": "), "\n") {
		fmt.Fprintf(t.err, "orderly: %s\n", timeline.Printable(line))
	}
	if errors.Is(err, errUsage) {
		return exitUsage
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
		return usage(fmt.Errorf(`%w; see "%s --help"`, explainFlag(cmd, err), cmd.CommandPath()))
	})
	root.AddCommand(newRun(t)) // has its own way to stop
	root.AddCommand(interruptible(
		newPublish(t), newGet(t), newList(t),
		newCancelAll(t), newSignal(t), newRetryAll(t), newSkipAll(t),
		newDead(t), newDemo(t), newVerify(t), newBench(t), newHealth(t), newConfig(t), newVersion(t),
	)...)
	return root
}

// arguments checks positional arguments against their names; those in brackets may be left out.
func arguments(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		least := len(names)
		for least > 0 && strings.HasPrefix(names[least-1], "[") {
			least--
		}
		path := cmd.CommandPath()
		switch {
		case least <= len(args) && len(args) <= len(names):
			return nil
		case len(args) > len(names) && cmd.HasSubCommands():
			return usage(fmt.Errorf(`there is no command "%s %s"; %s`, path, args[0], suggest(cmd, args[0])))
		case len(args) > len(names):
			return usage(fmt.Errorf(`%q is too much: want "%s"; see "%s --help"`, args[len(names)], line(path, names), path))
		}
		return usage(fmt.Errorf(`%s is missing: want "%s"; see "%s --help"`, names[len(args)], line(path, names), path))
	}
}

func line(path string, names []string) string {
	return strings.Join(append([]string{path}, names...), " ")
}

// meant asks whether a command of almost that name was meant: the one with the fewest wrong letters, at most two.
func suggest(cmd *cobra.Command, name string) string {
	for cmd.SuggestionsMinimumDistance = 0; cmd.SuggestionsMinimumDistance <= 2; cmd.SuggestionsMinimumDistance++ {
		if names := cmd.SuggestionsFor(name); len(names) > 0 {
			return fmt.Sprintf(`did you mean "%s %s"?`, cmd.CommandPath(), names[0])
		}
	}
	return fmt.Sprintf(`see "%s --help"`, cmd.CommandPath())
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
	return fmt.Errorf("want %s or %s", formatText, formatJSON)
}

// outputFlag adds -o to cmd.
func outputFlag(cmd *cobra.Command) *format {
	f := formatText
	cmd.Flags().VarP(&f, "output", "o", "how to print")
	return &f
}

// jsonIndent is what JSON for programs is indented by, so that people can read it too.
const jsonIndent = "  "

// writeJSON prints v for programs.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", jsonIndent)
	return enc.Encode(v)
}
