package index

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/server/index/wire"
)

// ErrAway: this process does not keep an index now.
var ErrAway = errors.New("no index here")

// escaped takes from a text what has a meaning to LIKE.
var escaped = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// queryTimeout bounds the work on one question.
const queryTimeout = 5 * time.Second

// List answers a question. The error wraps ErrQuery when the question is wrong, and ErrAway while this process keeps no
// index.
func (x *Index) List(ctx context.Context, q Query) (*Page, error) {
	page, _, err := x.page(ctx, q)
	return page, err
}

// page answers a question, and says which cursor leads to what comes after each order.
func (x *Index) page(ctx context.Context, q Query) (page *Page, after []cursor, err error) {
	c, err := q.check(time.Now())
	if err != nil {
		return nil, nil, err
	}
	se := x.session.Load()
	if se == nil {
		return nil, nil, ErrAway
	}
	// What is said of the feed must not be younger than what is read from the database.
	state := se.state.Load()
	rows, err := se.list(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	page = &Page{Orders: make([]Order, 0, min(len(rows), c.limit)), Node: x.cfg.Node, Behind: state.behind(time.Now()).Seconds()}
	if !state.whole {
		page.Rebuilding = true
		page.Progress = float64(state.last) / float64(max(1, state.last+state.pending))
	}
	for i, r := range rows {
		if i == c.limit {
			page.Next = after[i-1].String()
			break
		}
		page.Orders, after = append(page.Orders, r.order()), append(after, cursor{entered: r.entered, id: int64(r.id)})
	}
	return page, after, nil
}

// list reads one row more than the limit, which tells whether there is another page.
func (se *session) list(ctx context.Context, c checked) ([]*row, error) {
	// What is not written yet is looked at first: it may be written meanwhile, and would be missed the other way round.
	m := merge{fresh: se.feed.fresh(&c), limit: c.limit + 1}
	query, args := c.sql(m.limit + len(m.hidden))
	err := se.ask(ctx, func(ctx context.Context) error {
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
	return m.end(), nil
}

func (se *session) count(ctx context.Context) (n int64, err error) {
	err = se.ask(ctx, func(ctx context.Context) error {
		return se.store.read.QueryRowContext(ctx, "SELECT count(*) FROM orders").Scan(&n)
	})
	return n, err
}

// ask has f read the database, within a bound and while the session lasts.
func (se *session) ask(ctx context.Context, f func(context.Context) error) error {
	se.asking.RLock()
	defer se.asking.RUnlock()
	if se.ended.Err() != nil {
		return ErrAway
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	defer context.AfterFunc(se.ended, cancel)()
	err := broken(f(ctx))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errBroken):
		select {
		case se.failed <- err:
		default:
		}
	case se.ended.Err() != nil:
		return ErrAway
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("it took longer than %s: narrow it down by status, customer or age: %w", queryTimeout, ctx.Err())
	}
	return err
}

// sql is the statement for a question. Each status is one walk along an index, the latest first, and the walks are
// merged; so the work is that of the rows that are told, and of those that another reason leaves out.
func (c checked) sql(limit int) (string, []any) {
	statuses := c.statuses
	if len(statuses) == 0 {
		for s := range words {
			statuses = append(statuses, Status(s))
		}
	}
	before := c.before
	if c.from != nil {
		before = min(before, c.from.entered)
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
		walk += "status = ? AND entered <= ? AND entered >= ?"
		args = append(args, int64(s), before, c.after)
		if c.from != nil {
			walk += " AND (entered < ? OR id < ?)"
			args = append(args, c.from.entered, c.from.id)
		}
		if c.reason != "" {
			walk += ` AND reason LIKE ? ESCAPE '\'`
			args = append(args, "%"+escaped.Replace(c.reason)+"%")
		}
		walks = append(walks, walk)
	}
	return strings.Join(walks, " UNION ALL ") + " ORDER BY entered DESC, id DESC LIMIT ?", append(args, limit)
}

// order is the row as it is told.
func (r *row) order() Order {
	o := Order{
		OrderID: r.orderID, CustomerID: r.customer, Status: r.status.String(), Step: r.step, Reason: r.reason,
		Currency: r.currency, CreatedAt: moment(r.accepted), StatusSince: moment(r.entered), UpdatedAt: moment(r.updated), Sequence: r.seq,
	}
	if r.plan != nil {
		o.Plan = fmt.Sprintf("%s v%d", r.plan.Name, r.plan.Version)
	}
	if r.total != wire.None {
		o.Total = messages.FormatMinor(r.total, r.currency)
	}
	if r.waits != wire.None {
		until := moment(r.waits)
		o.WaitsUntil = &until
	}
	return o
}

func moment(nanos int64) time.Time {
	if nanos == wire.None {
		return time.Time{}
	}
	return time.Unix(0, nanos).UTC()
}
