package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/server/index"
)

// arguments checks the positional arguments against their names; those in brackets are optional.
func arguments(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		required := len(names)
		for required > 0 && strings.HasPrefix(names[required-1], "[") {
			required--
		}
		path := cmd.CommandPath()
		synopsis := strings.Join(append([]string{path}, names...), " ")
		switch {
		case required <= len(args) && len(args) <= len(names):
			return nil
		case len(args) > len(names) && cmd.HasSubCommands():
			return usage(fmt.Errorf(`there is no command "%s %s"; %s`, path, args[0], suggest(cmd, args[0])))
		case len(args) > len(names):
			return usage(fmt.Errorf(`unexpected argument %q: want "%s"; see "%s --help"`, args[len(names)], synopsis, path))
		}
		return usage(fmt.Errorf(`%s is missing: want "%s"; see "%s --help"`, names[len(args)], synopsis, path))
	}
}

// atLeastOne checks that there is a positional argument.
func atLeastOne(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return nil
		}
		path := cmd.CommandPath()
		return usage(fmt.Errorf(`%s is missing: want "%s %[1]s…"; see "%[2]s --help"`, name, path))
	}
}

// suggest names the most similar command, with at most two wrong letters, or else the help.
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
	cmd.Flags().VarP(&f, "output", "o", "output format")
	return &f
}

// notEmpty refuses flags with an empty value: an unset variable of a script must not select everything.
func notEmpty(cmd *cobra.Command, names ...string) error {
	for _, name := range names {
		f := cmd.Flags().Lookup(name)
		if f != nil && f.Changed && (f.Value.String() == "" || f.Value.Type() == "stringSlice" && f.Value.String() == "[]") {
			return fmt.Errorf("--%s is empty: want a value, or leave it out", name)
		}
	}
	return nil
}

// checkLimit checks the flag --limit.
func checkLimit(limit int) error {
	if limit < 0 {
		return fmt.Errorf("--limit is %d: want 1 or more, or 0 for all", limit)
	}
	return nil
}

// checkRate checks the flag --rate, also against NaN.
func checkRate(r float64) error {
	if !(r >= 0) {
		return fmt.Errorf("--rate is %g: want 0 or more", r)
	}
	return nil
}

// checkTimeout checks the flag --timeout.
func checkTimeout(d time.Duration) error {
	if d <= 0 {
		return fmt.Errorf("--timeout is %s: want more than 0", d)
	}
	return nil
}

// checkQuery checks the flags that select orders.
func checkQuery(q index.Query) error {
	switch {
	case q.Older < 0:
		return fmt.Errorf("--older is %s: want 0 or more", time.Duration(q.Older))
	case q.Newer < 0:
		return fmt.Errorf("--newer is %s: want 0 or more", time.Duration(q.Newer))
	case len(q.Customer) > messages.MaxName: // no order has a longer one
		return fmt.Errorf("--customer has %d bytes: at most %d are allowed", len(q.Customer), messages.MaxName)
	}
	return q.Validate()
}

// explainFlag replaces the parser's error about a flag's value by one that says which values are valid.
func explainFlag(err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	flag := invalid.GetFlag()
	name := "--" + flag.Name
	if flag.Shorthand != "" {
		name = "-" + flag.Shorthand + ", " + name
	}
	switch flag.Value.Type() {
	case "int":
		return fmt.Errorf("%s is %q: want a whole number", name, invalid.GetValue())
	case "float64":
		return fmt.Errorf("%s is %q: want a number", name, invalid.GetValue())
	case "duration":
		return fmt.Errorf("%s is %q: want a duration with its unit (ms, s, m, h)", name, invalid.GetValue())
	case "bool":
		return fmt.Errorf("%s is %q: want true or false", name, invalid.GetValue())
	}
	return fmt.Errorf("%s is %q: %w", name, invalid.GetValue(), invalid.Unwrap())
}
