package cli

import (
	"github.com/orderly-engine/orderly/node/audit"
	"github.com/spf13/cobra"
)

func newVerify(t terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check in the streams that no order was lost; exit 1 if they do not balance",
		Long: `Read the streams and account for every message that the inbox ever stored, for every accepted order (parked ones by what
they wait for, those in attention by cause), and for every timer. A message is accounted for if it is still stored, or if
the journal, a dead letter or the ledger names it; otherwise it is lost, and named by its sequence. The report balances
when nothing is lost, every running order's driver message and every parked order's wake-up is stored, every timer belongs
to an order, and every history is legal. Otherwise the violations are listed and the exit code is 1. A timer may outlive its
park: it fires without effect.

The command changes nothing and may run at any time, also under load.`,
		Args: arguments(),
	}
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withConnection(cmd.Context(), t, func(c *connection) error {
			report, err := audit.Read(cmd.Context(), c.js)
			if err != nil {
				return err
			}
			if err = writeResult(t.out, *output, report); err == nil && !report.Balanced() {
				return errSilent
			}
			return err
		})
	}
	return cmd
}
