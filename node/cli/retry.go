package cli

import (
	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/messages"
)

// attentionHelp says what an operator can do about an order in attention.
const attentionHelp = `An order in attention waits until a person decides. Retry calls the failed step again, with all the attempts of the plan;
skip continues as if the step, or the undo, were done; cancel undoes the steps that are done.`

func newRetry(t terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "retry ID",
		Short: "Call the failed step of an order in attention again",
		Long: attentionHelp + `

A parked order stops waiting: its step is called now.`,
		Args: arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return publishMessage(cmd.Context(), t, args[0], &messages.RetryOrder{})
		},
	}
}
