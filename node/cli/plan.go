package cli

import (
	"github.com/spf13/cobra"
)

func newPlan(t terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Check and draw plans",
		Long: `Check plan files before a node starts with them, try one call of a plan, and draw plans. "plan check" needs no node and no
NATS, except to call a step over NATS.`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPlanCheck(t), newPlanShow(t))
	return cmd
}
