package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/orderly-engine/orderly/node/server/index"
)

// orderWriter writes a list of orders page by page; end is handed the last page again.
type orderWriter interface {
	page(*index.Page) error
	end(last *index.Page) error
}

// ordersText writes orders for people.
type ordersText struct {
	t     terminal
	table table
	n     int
}

func (o *ordersText) page(p *index.Page) error {
	if o.n == 0 {
		caution(o.t, p)
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
		o.table.add(order.OrderID, cell(order.CustomerID), order.Status, ago(now.Sub(order.StatusSince)), cell(order.Step), until, cell(order.Reason))
	}
	return o.table.flush()
}

func (o *ordersText) end(last *index.Page) (err error) {
	switch {
	case o.n == 0:
		_, err = fmt.Fprintln(o.t.out, "no orders")
	case last.Next != "":
		_, err = fmt.Fprintf(o.t.out, "the first %d; go on with --cursor %s\n", o.n, last.Next)
	}
	return err
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

// ordersJSON writes orders for programs: one index.Page, whose orders are those of all pages and whose rest is that of
// the last.
type ordersJSON struct {
	out    *bufio.Writer
	orders jsonList
	begun  bool
}

func newOrdersJSON(w io.Writer) *ordersJSON {
	out := bufio.NewWriter(w)
	return &ordersJSON{out: out, orders: jsonList{out: out, indent: jsonIndent}}
}

// noOrders is how a page without orders begins.
const noOrders = beforeOrders + "[]"

const beforeOrders = "{\n" + jsonIndent + `"orders": `

func (o *ordersJSON) page(p *index.Page) error {
	if !o.begun {
		o.begun = true
		_, _ = o.out.WriteString(beforeOrders) // Flush has the error
	}
	for _, order := range p.Orders {
		if err := o.orders.add(order); err != nil {
			return err
		}
	}
	return o.out.Flush()
}

func (o *ordersJSON) end(last *index.Page) error {
	if err := o.orders.end(); err != nil {
		return err
	}
	rest := *last
	rest.Orders = []index.Order{}
	text, err := json.MarshalIndent(rest, "", jsonIndent)
	if err != nil {
		return err
	}
	fmt.Fprintln(o.out, strings.TrimPrefix(string(text), noOrders))
	return o.out.Flush()
}
