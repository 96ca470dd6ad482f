package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/engine/client"
	"github.com/orderly-engine/orderly/node/timeline"
)

func newGet(t terminal) *cobra.Command {
	var followed bool
	cmd := &cobra.Command{
		Use:   "get ID",
		Short: "Show where one order stands and what happened to it",
		Long: `Show where one order stands (what it waits for and until when, the last error, what a person can do about it) and its
timeline: a line per fact with its time (UTC), how long after the one before, the node, and what happened. The timeline
of a node that died shows where another one took over.

With --follow, lines are added as things happen, until the order has ended, however that is; the exit code is 0 then.
Orders at rest are followed too. A connection that is lost is waited for: nothing is missed or told twice. With -o json
--follow prints one event a line. An order of which nothing is stored fails at once.`,
		Example: "  orderly get o-1042\n  orderly get o-1042 --follow\n  orderly get o-1042 -o json",
		Args:    arguments("ID"),
	}
	cmd.Flags().BoolVarP(&followed, "follow", "f", false, "go on until the order has ended")
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := messages.ParseOrderID(args[0])
		if err != nil {
			return usage(err)
		}
		return withOrders(cmd.Context(), t, id, func(_ *connection, orders *client.Reader) error {
			view, err := orders.Order(cmd.Context(), id)
			switch {
			case err != nil:
				return err
			case followed && *output == formatJSON:
				return orders.Follow(cmd.Context(), id, 0, eventLines(t.out))
			case followed:
				return followText(cmd.Context(), t.out, orders, view)
			case *output == formatJSON:
				return writeJSON(t.out, view)
			}
			return view.WriteText(t.out, time.Now())
		})
	}
	return cmd
}

// withOrders runs f on a connection with what reads orders. An order that nobody knows is told in a sentence of its own,
// and so is one for which messages wait.
func withOrders(ctx context.Context, t terminal, id messages.OrderID, f func(*connection, *client.Reader) error) error {
	return withConnection(ctx, t, func(c *connection) error {
		orders, err := client.NewReader(c.nc)
		if err != nil {
			return err
		}
		defer orders.Close()
		err = f(c, orders)
		var awaited *timeline.PendingMessages
		switch {
		case errors.As(err, &awaited):
			return fmt.Errorf("no order %s yet: %w", id, awaited)
		case !errors.Is(err, client.ErrUnknownOrder):
			return err
		}
		return fmt.Errorf("no order %s: nothing with this id was accepted; look for it with \"orderly dead list --order %[1]s\"", id)
	})
}

// followText writes where the order stands, its story so far and to come, and what it comes to.
func followText(ctx context.Context, w io.Writer, orders *client.Reader, v *timeline.View) error {
	if err := v.WriteHeader(w, time.Now()); err != nil {
		return err
	}
	lines := timeline.NewLines(w)
	if err := lines.WriteFolded(v.Events); err != nil || v.Ended() {
		return err
	}
	id := messages.OrderID(v.OrderID)
	if err := orders.Follow(ctx, id, v.Last(), lines.Write); err != nil {
		return err
	}
	v, err := orders.Order(ctx, id)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\n%s\n", v.Conclusion())
	return err
}

// eventLines writes one event a line.
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
