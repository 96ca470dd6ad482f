package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// explainFlag says which values a flag takes, in place of what the parser had against this one.
func explainFlag(cmd *cobra.Command, err error) error {
	var wrong interface {
		error
		GetValue() string
		Unwrap() error
	}
	if !errors.As(err, &wrong) {
		return err
	}
	flag := flagOf(cmd.Flags().Lookup, err)
	if flag == nil {
		return err
	}
	name := "--" + flag.Name
	if flag.Shorthand != "" {
		name = "-" + flag.Shorthand + ", " + name
	}
	switch kind := flag.Value.Type(); kind {
	case "int":
		return fmt.Errorf("%s is %q: want a whole number", name, wrong.GetValue())
	case "float64":
		return fmt.Errorf("%s is %q: want a number", name, wrong.GetValue())
	case "duration":
		return fmt.Errorf("%s is %q: want a duration with its unit (ms, s, m, h)", name, wrong.GetValue())
	case "bool":
		return fmt.Errorf("%s is %q: want true or false", name, wrong.GetValue())
	}
	return fmt.Errorf("%s is %q: %w", name, wrong.GetValue(), wrong.Unwrap())
}

// flagOf is the flag an error is about, in the type in which flags are looked up.
func flagOf[Flag any](_ func(string) *Flag, err error) *Flag {
	var about interface {
		error
		GetFlag() *Flag
	}
	if !errors.As(err, &about) {
		return nil
	}
	return about.GetFlag()
}
