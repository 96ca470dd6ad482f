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
		Short: "Cancel an order: undo the steps that are done, last first",
		Long: `Cancel an order. A step in doubt is settled first, then the steps that are done are undone, last first. A cancel that
arrives after the last step was performed, if that step has no undo, is too late: the order completes.

--dry-run publishes nothing and prints what a cancel would do now: the step that is settled first, the undo calls in their
order, and the steps that are kept.

--wait waits until the order has ended and prints what was undone. It fails if the order completed, needs attention first, or
has not ended within --timeout.`,
		Example: "  orderly cancel o-1042 --dry-run\n  orderly cancel o-1042 --reason \"changed my mind\" --wait",
		Args:    arguments("ID"),
	}
	cmd.Flags().StringVar(&c.reason, "reason", "", "reason, recorded with the order")
	cmd.Flags().BoolVar(&c.dryRun, "dry-run", false, "print what a cancel would do, and publish nothing")
	cmd.Flags().BoolVar(&c.wait, "wait", false, "wait until the order has ended, and print what was undone")
	cmd.Flags().DurationVar(&c.timeout, "timeout", time.Minute, "longest wait with --wait")
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c.output = *output
		id, err := messages.ParseOrderID(args[0])
		if err == nil {
			err = c.check()
		}
		if err != nil {
			return usage(err)
		}
		if !c.dryRun && !c.wait {
			return publishMessage(cmd.Context(), t, args[0], &messages.CancelOrder{Reason: c.reason})
		}
		return withOrder(cmd.Context(), t, id, func(orders *client.Client) error {
			if c.dryRun {
				return c.preview(cmd.Context(), orders, args[0])
			}
			return c.cancelAndWait(cmd.Context(), orders, args[0])
		})
	}
	return cmd
}

// cancellation is one run of the command.
type cancellation struct {
	t            terminal
	reason       string
	dryRun, wait bool
	timeout      time.Duration
	output       format
}

func (c *cancellation) check() error {
	switch {
	case c.dryRun && c.wait:
		return errors.New("--dry-run publishes nothing to --wait for: leave out one of them")
	case c.output == formatJSON && !c.dryRun && !c.wait:
		return errors.New("-o json goes with --dry-run or --wait: a stored message has no result yet")
	}
	return checkTimeout(c.timeout)
}

// preview prints what a cancel would do now.
func (c *cancellation) preview(ctx context.Context, orders *client.Client, id string) error {
	view, err := orders.Order(ctx, id)
	if err != nil {
		return err
	}
	return writeResult(c.t.out, c.output, view.PreviewCancel())
}

// cancelAndWait publishes the cancel, waits, and prints how the order ended.
func (c *cancellation) cancelAndWait(ctx context.Context, orders *client.Client, id string) error {
	before, err := orders.Order(ctx, id)
	if err != nil {
		return err
	}
	if !before.Ended() {
		if err := orders.Cancel(ctx, id, c.reason); err != nil {
			return err
		}
		if err := c.await(ctx, orders, id, before.LastSequence()); err != nil {
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

// errAttention ends the wait for an order that needs attention.
var errAttention = errors.New("the order needs attention")

// await follows the order until it has ended, needs attention, or the timeout is over, and returns nil then.
func (c *cancellation) await(ctx context.Context, orders *client.Client, id string, after uint64) error {
	limited, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	requested := false
	err := orders.FollowFrom(limited, id, after, func(events []timeline.Event) error {
		for _, e := range events {
			requested = requested || e.Kind == "cancel_requested"
			if requested && e.Kind == "attention" {
				return errAttention
			}
		}
		return nil
	})
	if errors.Is(err, errAttention) || limited.Err() != nil && ctx.Err() == nil {
		return nil
	}
	return err
}
