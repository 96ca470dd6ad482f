package index

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/cause"
	"github.com/orderly-engine/orderly/node/server/index/wire"
)

// ErrNoIndex: this process has no index now.
var ErrNoIndex = errors.New("no index here")

// toLike converts a reason to a pattern of LIKE.
var toLike = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`, cause.Placeholder, `%`)

// queryTimeout bounds one query.
const queryTimeout = 5 * time.Second

// List answers a query. The error wraps ErrQuery if the query is invalid, and ErrNoIndex while this process has no index.
func (x *Index) List(ctx context.Context, q Query) (*Page, error) {
	page, _, err := x.page(ctx, q)
	return page, err
}

// page answers a query, and returns the cursor after each order.
func (x *Index) page(ctx context.Context, q Query) (page *Page, after []cursor, err error) {
	c, err := q.parse(time.Now())
	if err != nil {
		return nil, nil, err
	}
	se := x.current.Load()
	if se == nil {
		return nil, nil, ErrNoIndex
	}
	// The state must not be newer than the rows.
	state := se.state.Load()
	rows, err := se.list(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	page = &Page{Orders: make([]Order, 0, min(len(rows), c.limit)), Node: x.cfg.Node, Behind: state.lag(time.Now()).Seconds()}
	if !state.caughtUp {
		page.Rebuilding = true
		page.Progress = float64(state.last) / float64(max(1, state.last+state.pending))
	}
	for i, r := range rows {
		if i == c.limit {
			page.Next = after[i-1].String()
			break
		}
		page.Orders, after = append(page.Orders, r.order()), append(after, cursor{statusSince: r.statusSince, id: int64(r.id)})
	}
	return page, after, nil
}

// list reads one row more than the limit, which shows whether there is another page.
func (se *session) list(ctx context.Context, c parsedQuery) ([]*row, error) {
	// The unwritten rows are read first: in the other order, a row that is written in between would be missed.
	m := merge{unwritten: se.feed.unwrittenRows(&c), limit: c.limit + 1}
	query, args := c.sql(m.limit + len(m.orders))
	err := se.query(ctx, func(ctx context.Context) error {
		rows, err := se.store.read.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			r := &row{}
			var planID int64
			if err := rows.Scan(r.targets(&planID)...); err != nil {
				return err
			}
			r.plan = se.store.planOf(planID)
			if !m.add(r) {
				break
			}
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list orders: %w", err)
	}
	return m.finish(), nil
}

// query runs f on the database, within queryTimeout and while the session lasts.
func (se *session) query(ctx context.Context, f func(context.Context) error) error {
	se.queries.RLock()
	defer se.queries.RUnlock()
	if se.ctx.Err() != nil {
		return ErrNoIndex
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	defer context.AfterFunc(se.ctx, cancel)()
	err := asCorrupt(f(ctx))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errCorrupt):
		select {
		case se.corrupt <- err:
		default:
		}
	case se.ctx.Err() != nil:
		return ErrNoIndex
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("it took longer than %s: restrict it by status, customer or age: %w", queryTimeout, ctx.Err())
	}
	return err
}

// sql is the statement for a query. Each status is one walk along an index, the latest first, and the walks are merged: the
// work is proportional to the rows in the reply and those that the reason filters out.
func (c parsedQuery) sql(limit int) (string, []any) {
	statuses := c.statuses
	if len(statuses) == 0 {
		for s := range statusNames {
			statuses = append(statuses, Status(s))
		}
	}
	before := c.until
	if c.cursor != nil {
		before = min(before, c.cursor.statusSince)
	}
	var walks []string
	var args []any
	seen := map[Status]bool{}
	for _, s := range statuses {
		if seen[s] {
			continue
		}
		seen[s] = true
		walk := "SELECT " + columns + " FROM orders INDEXED BY "
		if c.customer != "" {
			walk += "orders_by_customer WHERE customer = ? AND "
			args = append(args, c.customer)
		} else {
			walk += "orders_by_status WHERE "
		}
		walk += "status = ? AND status_since <= ? AND status_since >= ?"
		args = append(args, int64(s), before, c.since)
		if c.cursor != nil {
			walk += " AND (status_since < ? OR id < ?)"
			args = append(args, c.cursor.statusSince, c.cursor.id)
		}
		if c.reason != "" {
			walk += ` AND reason LIKE ? ESCAPE '\'`
			args = append(args, "%"+toLike.Replace(c.reason)+"%")
		}
		walks = append(walks, walk)
	}
	return strings.Join(walks, " UNION ALL ") + " ORDER BY status_since DESC, id DESC LIMIT ?", append(args, limit)
}

// order returns the row as an Order.
func (r *row) order() Order {
	o := Order{
		OrderID: r.orderID, CustomerID: r.customer, Status: r.status.String(), Step: r.step, Reason: r.reason,
		Currency: r.currency, CreatedAt: timeOf(r.acceptedAt), StatusSince: timeOf(r.statusSince), UpdatedAt: timeOf(r.updatedAt), Sequence: r.sequence,
	}
	if r.plan != nil {
		o.Plan = fmt.Sprintf("%s v%d", r.plan.Name, r.plan.Version)
	}
	if r.total != wire.Unset {
		o.Total = messages.FormatMinor(r.total, r.currency)
	}
	if r.wakesAt != wire.Unset {
		until := timeOf(r.wakesAt)
		o.WaitsUntil = &until
	}
	return o
}

func timeOf(nanos int64) time.Time {
	if nanos == wire.Unset {
		return time.Time{}
	}
	return time.Unix(0, nanos).UTC()
}
