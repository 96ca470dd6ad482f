package cli

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/orderly-engine/orderly/node/server/index"
	"github.com/orderly-engine/orderly/node/timeline"
)

// causeList is the result of list --by cause. Its JSON form is stable.
type causeList struct {
	Causes []causeGroup `json:"causes"`
	// Others counts the orders with causes that are not listed.
	Others int `json:"others,omitempty"`
	// Behind, Rebuilding, Progress and Node are those of index.Page.
	Behind     float64 `json:"behind"`
	Rebuilding bool    `json:"rebuilding,omitempty"`
	Progress   float64 `json:"progress,omitempty"`
	Node       string  `json:"node"`
}

// runByCause counts all orders that the query selects.
func (l *listing) runByCause(ctx context.Context, c *connection) error {
	var groups causeGroups
	last, err := c.pages(ctx, l.query, 0, func(p *index.Page) error {
		for _, o := range p.Orders {
			groups.add(o.OrderID, o.Reason, o.StatusSince)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if l.output == formatText {
		warnStale(l.t, last)
	}
	result := causeList{Behind: last.Behind, Rebuilding: last.Rebuilding, Progress: last.Progress, Node: last.Node}
	result.Causes, result.Others = groups.top(l.limit)
	return writeResult(l.t.out, l.output, result)
}

// WriteText writes the causes as a table. They are not cut, so that they can be copied to --reason.
func (c causeList) WriteText(w io.Writer) error {
	if len(c.Causes) == 0 {
		_, err := fmt.Fprintln(w, "no orders")
		return err
	}
	var b bytes.Buffer
	t := table{out: &b}
	t.add("ORDERS", "OLDEST", "FOR", "CAUSE")
	for _, g := range c.Causes {
		t.add(fmt.Sprint(g.Orders), g.Oldest, age(time.Since(g.Since)), causeText(g.Cause))
	}
	if err := t.flush(); err != nil {
		return err
	}
	if c.Others > 0 {
		fmt.Fprintf(&b, "and %s with other causes\n", count(int64(c.Others), "order"))
	}
	_, err := w.Write(b.Bytes())
	return err
}

// causeText makes a cause safe for a terminal.
func causeText(s string) string { return cmp.Or(timeline.Printable(s), "-") }
