package cli

import (
	"github.com/orderly-engine/orderly/node/audit"
	"github.com/spf13/cobra"
)

func newVerify(t terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Prove from the streams that no order was lost; exit 1 if the ledger does not balance",
		Long: `Read the streams and account for every message the inbox ever stored, for every order that was accepted (parked ones by
what they wait for, those in attention by cause), and for every timer. The ledger balances when each is where it
belongs: whoever carries an order is stored, what wakes a parked one is stored, and a timer has an order. Otherwise the
offending orders are named and the exit code is 1. A timer that outlives its park is legal: it fires without effect.

It changes nothing and may run at any time, also under load.`,
		Args: arguments(),
	}
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withConnection(cmd.Context(), t, func(c *connection) error {
			report, err := audit.Read(cmd.Context(), c.js)
			if err != nil {
				return err
			}
			if *output == formatJSON {
				err = writeJSON(t.out, report)
			} else {
				err = report.WriteText(t.out)
			}
			if err == nil && !report.Balanced() {
				return errSilent
			}
			return err
		})
	}
	return cmd
}
