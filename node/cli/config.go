package cli

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/node/server/config"
)

func newConfig(t terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print the effective configuration, secrets redacted",
		Args:  arguments(),
	}
	output := outputFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		cfg, err := config.Load(t.environ)
		if err != nil {
			return err
		}
		if *output == formatJSON {
			return writeJSON(t.out, cfg.Redacted())
		}
		out := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(out, "VARIABLE\tVALUE\tMEANING")
		for _, e := range cfg.Redacted() {
			if e.Value == "" {
				e.Value = "(" + e.Default + ")"
			}
			fmt.Fprintf(out, "%s\t%s\t%s\n", e.Name, e.Value, e.Meaning)
		}
		return out.Flush()
	}
	return cmd
}
