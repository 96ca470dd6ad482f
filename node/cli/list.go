package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/server/index"
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
		err := notEmpty(cmd, "status", "customer", "reason", "cursor")
		if err == nil {
			err = checkLimit(l.limit)
		}
		if err == nil {
			err = checkQuery(l.query)
		}
		if err != nil {
			return usage(err)
		}
		return withConnection(cmd.Context(), t, func(c *connection) error { return l.run(cmd.Context(), c) })
	}
	return cmd
}

// notEmpty refuses flags that are given and empty: what was meant to choose something, a variable of a script maybe, must
// not choose everything.
func notEmpty(cmd *cobra.Command, names ...string) error {
	for _, name := range names {
		f := cmd.Flags().Lookup(name)
		if f != nil && f.Changed && (f.Value.String() == "" || f.Value.Type() == "stringSlice" && f.Value.String() == "[]") {
			return fmt.Errorf("--%s is empty: want a value, or leave it out", name)
		}
	}
	return nil
}

// checkLimit says what is wrong with the flag --limit.
func checkLimit(limit int) error {
	if limit < 0 {
		return fmt.Errorf("--limit is %d: want 1 or more, or 0 for all", limit)
	}
	return nil
}

// checkQuery says what is wrong with the flags that choose orders.
func checkQuery(q index.Query) error {
	switch {
	case q.Older < 0:
		return fmt.Errorf("--older is %s: want 0 or more", time.Duration(q.Older))
	case q.Newer < 0:
		return fmt.Errorf("--newer is %s: want 0 or more", time.Duration(q.Newer))
	case len(q.Customer) > messages.MaxName: // no order has a longer one, and a question that is too long is refused
		return fmt.Errorf("--customer has %d bytes: at most %d are allowed", len(q.Customer), messages.MaxName)
	}
	return q.Validate()
}

// listing is one run of the command.
type listing struct {
	t      terminal
	query  index.Query
	limit  int
	output format
}

func (l *listing) run(ctx context.Context, c *connection) error {
	var out orderWriter = &ordersText{t: l.t, table: table{out: l.t.out}}
	if l.output == formatJSON {
		out = newOrdersJSON(l.t.out)
	}
	last, err := c.pages(ctx, l.query, l.limit, out.page)
	if err != nil {
		return err
	}
	return out.end(last)
}

// pages hands over at most limit orders (0: all), page by page, and returns the last page. It stops at the first error.
func (c *connection) pages(ctx context.Context, q index.Query, limit int, take func(*index.Page) error) (*index.Page, error) {
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
