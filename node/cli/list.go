package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orderly-engine/orderly/node/server/index"
)

// maxLag is the lag of the index above which the command warns.
const maxLag = 2 * time.Second

func newList(t terminal) *cobra.Command {
	l := &listing{t: t}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List orders by status, customer, reason and age, latest change of status first",
		Long: `List orders by status, customer, reason and age, latest change of status first. The answer comes from the index of a node
(ORDERLY_INDEX), which lags the journal by a fraction of a second; "orderly get" reads the journal.

--older and --newer select by the time since the order entered its status: "--status attention --older 1h" lists the orders
that have needed attention for an hour. --reason selects by a part of the cause of an order in attention, of what a parked
order waits for, or of why an order was rejected or cancelled, in any case of letters; … in it stands for any text.

--by cause counts the orders by reason: texts that differ only in numbers, ids, times and quoted answers are one cause, shown
with … for what differs. As --reason, also of "orderly retry --all", a cause selects its orders.`,
		Example: `  orderly list --status attention
  orderly list --status attention --by cause
  orderly list --status parked,attention --reason "no responders" --older 1h
  orderly list --customer c-7 --limit 0 -o json`,
		Args: arguments(),
	}
	cmd.Flags().StringSliceVar(&l.query.Status, "status", nil, "only orders in these statuses")
	cmd.Flags().StringVar(&l.query.Customer, "customer", "", "only orders of this customer")
	cmd.Flags().StringVar(&l.query.Reason, "reason", "", "only orders whose reason contains this; … stands for any text")
	cmd.Flags().DurationVar((*time.Duration)(&l.query.Older), "older", 0, "only orders that have been in their status for at least this long")
	cmd.Flags().DurationVar((*time.Duration)(&l.query.Newer), "newer", 0, "only orders that entered their status within this time")
	cmd.Flags().StringVar(&l.by, "by", "", `"cause": count the orders by cause`)
	cmd.Flags().IntVar(&l.limit, "limit", index.DefaultLimit, "maximum number of orders, or of causes with --by; 0: all")
	cmd.Flags().StringVar(&l.query.Cursor, "cursor", "", "continue after an earlier list")
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		l.output = *output
		err := notEmpty(cmd, "status", "customer", "reason", "cursor", "by")
		if err == nil {
			err = checkLimit(l.limit)
		}
		switch {
		case err != nil:
		case l.by != "" && l.by != "cause":
			err = fmt.Errorf("--by is %q: want cause", l.by)
		case l.by != "" && l.query.Cursor != "":
			err = errors.New("--cursor continues a list of orders, --by counts all: leave one out")
		}
		if err == nil {
			err = checkQuery(l.query)
		}
		if err != nil {
			return usage(err)
		}
		run := l.run
		if l.by != "" {
			run = l.runByCause
		}
		return withConnection(cmd.Context(), t, func(c *connection) error { return run(cmd.Context(), c) })
	}
	return cmd
}

// listing is one run of the command.
type listing struct {
	t      terminal
	query  index.Query
	limit  int
	by     string
	output format
}

func (l *listing) run(ctx context.Context, c *connection) error {
	var out orderWriter = &orderTable{t: l.t, table: table{out: l.t.out}}
	if l.output == formatJSON {
		out = newOrderJSON(l.t.out)
	}
	last, err := c.pages(ctx, l.query, l.limit, out.page)
	if err != nil {
		return err
	}
	return out.end(last)
}

// pages calls take with at most limit orders (0: all), page by page, and returns the last page. It stops at the first error.
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

// warnStale warns about an answer that lacks recent orders.
func warnStale(t terminal, p *index.Page) {
	switch lag := time.Duration(p.Behind * float64(time.Second)); {
	case p.Rebuilding:
		fmt.Fprintf(t.err, "orderly: the index is being built (%.0f %%): orders are missing until it is complete\n", 100*p.Progress)
	case lag > maxLag:
		fmt.Fprintf(t.err, "orderly: the index lags by %s: later changes are missing\n", lag.Round(time.Second))
	}
}

// orderWriter writes a list of orders page by page; end gets the last page again.
type orderWriter interface {
	page(*index.Page) error
	end(last *index.Page) error
}

// orderTable writes orders for humans.
type orderTable struct {
	t     terminal
	table table
	n     int
}

func (o *orderTable) page(p *index.Page) error {
	if o.n == 0 {
		warnStale(o.t, p)
	}
	now := time.Now()
	for _, order := range p.Orders {
		if o.n++; o.n == 1 {
			o.table.add("ORDER", "CUSTOMER", "STATUS", "FOR", "STEP", "UNTIL", "REASON")
		}
		until := "-"
		if order.WaitsUntil != nil {
			until = order.WaitsUntil.UTC().Format(time.RFC3339)
		}
		o.table.add(order.OrderID, cell(order.CustomerID), order.Status, age(now.Sub(order.StatusSince)), cell(order.Step), until, cell(order.Reason))
	}
	return o.table.flush()
}

func (o *orderTable) end(last *index.Page) (err error) {
	switch {
	case o.n == 0:
		_, err = fmt.Fprintln(o.t.out, "no orders")
	case last.Next != "":
		_, err = fmt.Fprintf(o.t.out, "the first %d; continue with --cursor %s\n", o.n, last.Next)
	}
	return err
}

// orderJSON writes orders for programs: one index.Page with the orders of all pages and the other fields of the last.
type orderJSON struct {
	out     *bufio.Writer
	orders  jsonList
	started bool
}

func newOrderJSON(w io.Writer) *orderJSON {
	out := bufio.NewWriter(w)
	return &orderJSON{out: out, orders: jsonList{out: out, indent: jsonIndent}}
}

// beforeOrders is the JSON of a page before its orders.
const beforeOrders = "{\n" + jsonIndent + `"orders": `

func (o *orderJSON) page(p *index.Page) error {
	if !o.started {
		o.started = true
		_, _ = o.out.WriteString(beforeOrders) // Flush returns the error
	}
	for _, order := range p.Orders {
		if err := o.orders.add(order); err != nil {
			return err
		}
	}
	return o.out.Flush()
}

func (o *orderJSON) end(last *index.Page) error {
	if err := o.orders.end(); err != nil {
		return err
	}
	empty := *last
	empty.Orders = []index.Order{}
	text, err := json.MarshalIndent(empty, "", jsonIndent)
	if err != nil {
		return err
	}
	fmt.Fprintln(o.out, strings.TrimPrefix(string(text), beforeOrders+"[]"))
	return o.out.Flush()
}
