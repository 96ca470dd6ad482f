package index

import (
	"context"
	"math"
	"time"
)

// census is the number of orders in each status, and since when the oldest has been in it.
type census [Cancelled + 1]group

// group is the orders in one status.
type group struct {
	orders int64
	// since is the time of the oldest, in Unix nanoseconds; math.MaxInt64 without one.
	since int64
}

// age is how long the oldest order has been in the status; 0 without one.
func (g group) age(now time.Time) time.Duration {
	if g.orders == 0 || g.since == math.MaxInt64 {
		return 0
	}
	return max(now.Sub(time.Unix(0, g.since)), 0)
}

// census counts the orders. Those that have ended may be countInterval old.
func (x *Index) census(ctx context.Context, se *session) (census, error) {
	i := x.instr
	i.mu.Lock()
	defer i.mu.Unlock()
	scan := time.Since(i.counted) >= countInterval
	c := i.ended
	// The unwritten rows are read first, as in session.list.
	unwritten := se.feed.unwrittenChanges()
	err := se.query(ctx, func(ctx context.Context) error {
		for s := range c {
			if Status(s).ended() && !scan {
				continue
			}
			row := se.store.read.QueryRowContext(ctx,
				"SELECT count(*), coalesce(min(status_since), ?) FROM orders INDEXED BY orders_by_status WHERE status = ?", int64(math.MaxInt64), s)
			if err := row.Scan(&c[s].orders, &c[s].since); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return c, err
	}
	if scan {
		i.ended, i.counted = c, time.Now()
	}
	for _, u := range unwritten {
		if u.stored && !u.before.ended() {
			c[u.before].orders = max(c[u.before].orders-1, 0)
		}
		if !u.now.status.ended() {
			c[u.now.status].orders++
			c[u.now.status].since = min(c[u.now.status].since, u.now.statusSince)
		}
	}
	return c, nil
}

// change is an order whose row in the database is missing or outdated.
type change struct {
	stored bool
	before Status // in the database
	now    key
}

func (f *feed) unwrittenChanges() []change {
	f.mu.RLock()
	defer f.mu.RUnlock()
	all := make([]change, 0, len(f.dirty))
	for _, r := range f.dirty {
		all = append(all, change{r.stored, r.key.status, key{r.status, r.statusSince}})
	}
	return all
}
