package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/node/index"
	"github.com/orderly-engine/orderly/node/timeline"
)

// lateAnswer is how far an answer may be behind before that is told.
const lateAnswer = 2 * time.Second

// maxCell bounds a reason in a table, in characters; -o json has the whole.
const maxCell = 80

func newList(t terminal) *cobra.Command {
	l := &listing{t: t}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List orders by status, customer, reason and age, the latest first",
		Long: `List orders by status, customer, reason and age; those that came to their status last come first. The answer comes from the index of a node
(ORDERLY_INDEX), which is behind the journal by a fraction of a second; "orderly get" asks the journal itself.

--older and --newer look at how long an order has been in its status: "--status attention --older 1h" are those that have
needed somebody for an hour. --reason is part of the cause of an order in attention, of what a parked order waits for, or of
why an ended one was rejected or cancelled; capital and small letters are the same.`,
		Example: `  orderly list --status attention
  orderly list --status parked,attention --reason "no responders" --older 1h
  orderly list --customer c-7 --limit 0 -o json`,
		Args: arguments(),
	}
	cmd.Flags().StringSliceVar(&l.query.Status, "status", nil, "only orders in these statuses")
	cmd.Flags().StringVar(&l.query.Customer, "customer", "", "only orders of this customer")
	cmd.Flags().StringVar(&l.query.Reason, "reason", "", "only orders whose reason contains this")
	cmd.Flags().DurationVar((*time.Duration)(&l.query.Older), "older", 0, "only orders that have been in their status for so long")
	cmd.Flags().DurationVar((*time.Duration)(&l.query.Newer), "newer", 0, "only orders that came to their status within this time")
	cmd.Flags().IntVar(&l.limit, "limit", index.DefaultLimit, "how many at most; 0: all")
	cmd.Flags().StringVar(&l.query.Cursor, "cursor", "", "go on where an earlier list ended")
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		l.output = *output
		if l.limit < 0 {
			return usage(fmt.Errorf("--limit is %d: want 1 or more, or 0 for all", l.limit))
		}
		if err := l.query.Validate(); err != nil {
			return usage(err)
		}
		return withClient(cmd.Context(), t, func(c *client) error { return l.run(cmd.Context(), c) })
	}
	return cmd
}

// listing is one run of the command.
type listing struct {
	t      terminal
	query  index.Query
	limit  int
	output format
}

func (l *listing) run(ctx context.Context, c *client) error {
	whole := index.Page{Orders: []index.Order{}}
	page, err := c.pages(ctx, l.query, l.limit, func(p *index.Page) error {
		whole.Orders = append(whole.Orders, p.Orders...)
		return nil
	})
	if err != nil {
		return err
	}
	whole.Next, whole.Behind, whole.Rebuilding, whole.Progress, whole.Node = page.Next, page.Behind, page.Rebuilding, page.Progress, page.Node
	if l.output == formatJSON {
		return writeJSON(l.t.out, whole)
	}
	caution(l.t, &whole)
	return writeOrders(l.t, &whole, time.Now())
}

// pages hands over at most limit orders (0: all), page by page, and returns the last page. It stops at the first error.
func (c *client) pages(ctx context.Context, q index.Query, limit int, take func(*index.Page) error) (*index.Page, error) {
	for left := limit; ; {
		q.Limit = index.MaxLimit
		if limit > 0 {
			q.Limit = min(left, index.MaxLimit)
		}
		page, err := index.Ask(ctx, c.nc, q)
		if err != nil {
			return nil, err
		}
		if err := take(page); err != nil {
			return nil, err
		}
		left -= len(page.Orders)
		if q.Cursor = page.Next; q.Cursor == "" || limit > 0 && left <= 0 {
			return page, nil
		}
	}
}

// caution tells people when an answer is not the latest.
func caution(t terminal, p *index.Page) {
	switch behind := time.Duration(p.Behind * float64(time.Second)); {
	case p.Rebuilding:
		fmt.Fprintf(t.err, "orderly: the index is being built (%.0f %%): orders are missing until it is done\n", 100*p.Progress)
	case behind > lateAnswer:
		fmt.Fprintf(t.err, "orderly: the index is %s behind: what happened since is missing\n", behind.Round(time.Second))
	}
}

func writeOrders(t terminal, p *index.Page, now time.Time) error {
	if len(p.Orders) == 0 {
		_, err := fmt.Fprintln(t.out, "no orders")
		return err
	}
	out := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "ORDER\tCUSTOMER\tSTATUS\tFOR\tSTEP\tUNTIL\tREASON")
	for _, o := range p.Orders {
		until := "-"
		if o.WaitsUntil != nil {
			until = o.WaitsUntil.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", o.OrderID, cell(o.CustomerID), o.Status, ago(now.Sub(o.StatusSince)), cell(o.Step), until, cell(o.Reason))
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if p.Next != "" {
		fmt.Fprintf(t.out, "the first %d; go on with --cursor %s\n", len(p.Orders), p.Next)
	}
	return nil
}

// cell makes a stranger's text fit for a table; nothing is a dash, so that columns keep their place.
func cell(s string) string {
	if s == "" {
		return "-"
	}
	if runes := []rune(timeline.Printable(s)); len(runes) > maxCell {
		return string(runes[:maxCell]) + "…"
	}
	return timeline.Printable(s)
}

// ago is how long ago something was.
func ago(d time.Duration) string {
	switch d = max(0, d); {
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	case d < 48*time.Hour:
		return d.Round(time.Second).String()
	}
	return fmt.Sprintf("%.0fd", d.Hours()/24)
}
