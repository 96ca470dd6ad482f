package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/engine/client"
)

func newSkip(t terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "skip ID",
		Short: "Continue an order in attention after the failed step",
		Long: attentionHelp + `

Skips the step that needs attention now; no effect if another one does on arrival. A parked order stops waiting: its step is
called now, and nothing is skipped.`,
		Args: arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return publishFor(cmd.Context(), t, args[0], func(c *client.Client, id messages.OrderID) (proto.Message, error) {
				return resolveSkip(cmd.Context(), c, id)
			})
		},
	}
}

// resolveSkip returns a skip of the call that needs attention now, or else of any call that does when the skip arrives.
func resolveSkip(ctx context.Context, c *client.Client, id messages.OrderID) (*messages.SkipStep, error) {
	view, err := c.Order(ctx, string(id))
	switch {
	case errors.Is(err, client.ErrUnknownOrder):
		return &messages.SkipStep{}, nil
	case err != nil:
		return nil, err
	}
	step, direction, _ := view.NeedsAttention()
	return &messages.SkipStep{Step: step, Direction: direction}, nil
}
