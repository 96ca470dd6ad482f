package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/engine/client"
	"github.com/orderly-engine/orderly/node/timeline"
)

func newCancel(t terminal) *cobra.Command {
	c := &cancellation{t: t}
	cmd := &cobra.Command{
		Use:   "cancel ID",
		Short: "Ask for an order to be cancelled: what was done is undone, in reverse",
		Long: `Ask for an order to be cancelled. A step that may be under way is settled first, then everything that was done is undone,
last first. A cancel that comes after the last step was performed, if that has no undo, comes too late: the order
completes.

--dry-run publishes nothing and says what a cancel would do now: which step is settled first, what is undone, in which
order and by which calls, and what stays.

--wait waits until the order has ended and says what was undone. It fails when the order completed all the same, when it
needs a person first, and when it has not ended within --timeout.`,
		Example: "  orderly cancel o-1042 --dry-run\n  orderly cancel o-1042 --reason \"changed my mind\" --wait",
		Args:    arguments("ID"),
	}
	cmd.Flags().StringVar(&c.reason, "reason", "", "why, for the order's timeline")
	cmd.Flags().BoolVar(&c.dryRun, "dry-run", false, "say what it would do, and do nothing")
	cmd.Flags().BoolVar(&c.wait, "wait", false, "wait until the order has ended, and say what was undone")
	cmd.Flags().DurationVar(&c.timeout, "timeout", time.Minute, "longest wait with --wait")
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c.output = *output
		id, err := messages.ParseOrderID(args[0])
		switch {
		case err != nil:
			return usage(err)
		case c.dryRun && c.wait:
			return usage(errors.New("--dry-run does nothing to --wait for: leave out one of them"))
		case c.timeout <= 0:
			return usage(fmt.Errorf("--timeout is %s: want more than 0", c.timeout))
		case c.output == formatJSON && !c.dryRun && !c.wait:
			return usage(errors.New("-o json goes with --dry-run or --wait: what is stored has no result yet"))
		case c.dryRun:
			return withOrders(cmd.Context(), t, id, func(_ *connection, orders *client.Reader) error {
				return c.preview(cmd.Context(), orders, id)
			})
		case c.wait:
			return withOrders(cmd.Context(), t, id, func(cl *connection, orders *client.Reader) error {
				return c.carryOut(cmd.Context(), cl, orders, id)
			})
		}
		return tell(cmd.Context(), t, args[0], &messages.CancelOrder{Reason: c.reason})
	}
	return cmd
}

// cancellation is one call of the command.
type cancellation struct {
	t            terminal
	reason       string
	dryRun, wait bool
	timeout      time.Duration
	output       format
}

// preview says what a cancel would do now.
func (c *cancellation) preview(ctx context.Context, orders *client.Reader, id messages.OrderID) error {
	view, err := orders.Order(ctx, id)
	if err != nil {
		return err
	}
	if c.output == formatJSON {
		return writeJSON(c.t.out, view.PreviewCancel())
	}
	return view.PreviewCancel().WriteText(c.t.out)
}

// carryOut publishes the cancel and waits for what becomes of the order.
func (c *cancellation) carryOut(ctx context.Context, cl *connection, orders *client.Reader, id messages.OrderID) error {
	before, err := orders.Order(ctx, id)
	if err != nil {
		return err
	}
	if !before.Ended() {
		if err := cl.publish(ctx, id, &messages.CancelOrder{Reason: c.reason}); err != nil {
			return err
		}
		if err := c.await(ctx, orders, id, before.Last()); err != nil {
			return err
		}
	}
	view, err := orders.Order(ctx, id)
	if err != nil {
		return err
	}
	if c.output == formatJSON {
		err = writeJSON(c.t.out, view)
	} else {
		_, err = fmt.Fprintln(c.t.out, view.Conclusion())
	}
	if err == nil && (!view.Ended() || view.Completed()) {
		return errSilent
	}
	return err
}

// errRests ends the waiting for an order that needs a person.
var errRests = errors.New("the order needs a person")

// await follows the order until it has ended, needs a person, or the time is over; all of them are told by the order.
func (c *cancellation) await(ctx context.Context, orders *client.Reader, id messages.OrderID, after uint64) error {
	limited, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	asked := false
	err := orders.Follow(limited, id, after, func(events []timeline.Event) error {
		for _, e := range events {
			asked = asked || e.Kind == "cancel_requested"
			if asked && e.Kind == "attention" {
				return errRests
			}
		}
		return nil
	})
	if errors.Is(err, errRests) || limited.Err() != nil && ctx.Err() == nil {
		return nil
	}
	return err
}
