package main

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/node/ledger"
)

func newVerify(t terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Prove from the streams that no order was lost; exit 1 if the ledger does not balance",
		Args:  arguments(),
	}
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := dial(t)
		if err != nil {
			return err
		}
		defer c.nc.Close()
		report, err := ledger.Read(cmd.Context(), c.js)
		if err != nil {
			return err
		}
		if *output == formatJSON {
			enc := json.NewEncoder(t.out)
			enc.SetIndent("", "  ")
			err = enc.Encode(report)
		} else {
			err = report.WriteText(t.out)
		}
		if err == nil && !report.Balanced() {
			return errSilent
		}
		return err
	}
	return cmd
}
