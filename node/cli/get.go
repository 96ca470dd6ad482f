package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/engine/client"
	"github.com/orderly-engine/orderly/node/timeline"
)

func newGet(t terminal) *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use:   "get ID",
		Short: "Show the state of an order and its events",
		Long: `Show the state of an order (what it waits for and until when, the last error, the commands that apply to it) and its
events: a line for each with its time (UTC), the time since the previous one, the node, and a summary.

With --follow, lines are added until the order has ended, with any status; the exit code is 0 then. Parked orders and those
in attention are followed too. After a lost connection it continues without gaps and without repeats. With -o json it
prints one event per line. For an unknown order it fails at once.`,
		Example: "  orderly get o-1042\n  orderly get o-1042 --follow\n  orderly get o-1042 -o json",
		Args:    arguments("ID"),
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "continue until the order has ended")
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := messages.ParseOrderID(args[0])
		if err != nil {
			return usage(err)
		}
		return withOrder(cmd.Context(), t, id, func(c *client.Client) error {
			view, err := c.Order(cmd.Context(), args[0])
			switch {
			case err != nil:
				return err
			case follow && *output == formatJSON:
				return c.Follow(cmd.Context(), args[0], eventLines(t.out))
			case follow:
				return followText(cmd.Context(), t.out, c, view)
			case *output == formatJSON:
				return writeJSON(t.out, view)
			}
			return view.WriteText(t.out, time.Now())
		})
	}
	return cmd
}

// followText writes the order's state, its events, past and future, and how it ended.
func followText(ctx context.Context, w io.Writer, c *client.Client, v *timeline.View) error {
	if err := v.WriteHeader(w, time.Now()); err != nil {
		return err
	}
	lines := timeline.NewLines(w)
	if err := lines.WriteFolded(v.Events); err != nil || v.Ended() {
		return err
	}
	if err := c.FollowFrom(ctx, v.OrderID, v.LastSequence(), lines.Write); err != nil {
		return err
	}
	v, err := c.Order(ctx, v.OrderID)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\n%s\n", v.Conclusion())
	return err
}

// eventLines writes one event per line.
func eventLines(w io.Writer) func([]timeline.Event) error {
	enc := json.NewEncoder(w)
	return func(events []timeline.Event) error {
		for _, e := range events {
			if err := enc.Encode(e); err != nil {
				return err
			}
		}
		return nil
	}
}
