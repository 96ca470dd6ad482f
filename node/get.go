package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/history"
	"github.com/orderly-engine/orderly/node/timeline"
)

func newGet(t terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "get ID",
		Short:   "Show the state and the timeline of one order",
		Example: "  orderly get o-1042\n  orderly get o-1042 -o json",
		Args:    arguments("ID"),
	}
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := messages.ParseOrderID(args[0])
		if err != nil {
			return usage(err)
		}
		return withClient(cmd.Context(), t, func(c *client) error {
			view, err := c.order(cmd.Context(), id)
			if err != nil {
				return err
			}
			if *output == formatJSON {
				return writeJSON(t.out, view)
			}
			return view.WriteText(t.out)
		})
	}
	return cmd
}

// order reads one order.
func (c *client) order(ctx context.Context, id messages.OrderID) (*timeline.View, error) {
	orders, err := history.New(c.nc)
	if err != nil {
		return nil, err
	}
	defer orders.Close()
	view, err := orders.Order(ctx, id)
	if errors.Is(err, history.ErrUnknownOrder) {
		return nil, fmt.Errorf("no order %s: nothing with this id was accepted; look for it with \"orderly dead list --order %[1]s\"", id)
	}
	return view, err
}
