package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/timeline"
)

func newGet(t terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "get ID",
		Short:   "Show the state and the timeline of one order",
		Example: "  orderly get o-1042\n  orderly get o-1042 -o json",
		Args:    arguments(cobra.ExactArgs(1)),
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
		j, err := journal.New(c.nc, journal.Config{})
		if err != nil {
			return err
		}
		defer j.Close()
		entries, err := j.Read(cmd.Context(), id)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			return fmt.Errorf("no order %s: nothing with this id was accepted; look for it with \"orderly dead list\"", id)
		}
		view, err := timeline.Of(entries)
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
