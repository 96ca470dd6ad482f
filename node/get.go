package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/history"
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
		c, err := dial(t)
		if err != nil {
			return err
		}
		defer c.nc.Close()
		orders, err := history.New(c.nc)
		if err != nil {
			return err
		}
		defer orders.Close()
		view, err := orders.Order(cmd.Context(), id)
		if errors.Is(err, history.ErrUnknownOrder) {
			return fmt.Errorf("no order %s: nothing with this id was accepted; look for it with \"orderly dead list --order %s\"", id, id)
		}
		if err != nil {
			return err
		}
		if *output == formatJSON {
			enc := json.NewEncoder(t.out)
			enc.SetIndent("", "  ")
			return enc.Encode(view)
		}
		return view.WriteText(t.out)
	}
	return cmd
}
