package index

import (
	"slices"
	"strings"

	"github.com/orderly-engine/orderly/node/cause"
)

// unwritten are the rows that are not in the database yet, for one query.
type unwritten struct {
	// rows are copies of those that match, the latest first.
	rows []*row
	// orders of all unwritten rows: their rows in the database are outdated.
	orders map[string]bool
}

// unwrittenRows returns the unwritten rows for a query. It may be called from any goroutine.
func (f *feed) unwrittenRows(c *parsedQuery) unwritten {
	f.mu.RLock()
	defer f.mu.RUnlock()
	n := unwritten{orders: make(map[string]bool, len(f.dirty))}
	for _, r := range f.dirty {
		n.orders[r.orderID] = true
		if c.matches(r) {
			same := *r
			n.rows = append(n.rows, &same)
		}
	}
	slices.SortFunc(n.rows, func(a, b *row) int {
		switch {
		case a.before(b):
			return -1
		case b.before(a):
			return 1
		}
		return 0
	})
	return n
}

// before reports whether r comes before other in a reply.
func (r *row) before(other *row) bool {
	return r.statusSince > other.statusSince || r.statusSince == other.statusSince && r.id > other.id
}

// matches reports whether the query chooses the row, with the same conditions as sql.
func (c *parsedQuery) matches(r *row) bool {
	switch {
	case len(c.statuses) > 0 && !slices.Contains(c.statuses, r.status):
		return false
	case c.customer != "" && r.customer != c.customer:
		return false
	case r.statusSince > c.until || r.statusSince < c.since:
		return false
	case c.cursor != nil && (r.statusSince > c.cursor.statusSince || r.statusSince == c.cursor.statusSince && int64(r.id) >= c.cursor.id):
		return false
	}
	return c.reason == "" || cause.Matches(asciiLower(r.reason), c.reason)
}

// asciiLower lowers the letters of ASCII alone, which are those whose case LIKE ignores.
func asciiLower(s string) string {
	return strings.Map(func(c rune) rune {
		if 'A' <= c && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}, s)
}

// merge merges the unwritten rows with those of the database, which come in the order of the reply, up to a limit.
type merge struct {
	unwritten
	limit  int
	result []*row
}

// add adds the next row of the database, and reports whether there is room for another.
func (m *merge) add(r *row) bool {
	if m.orders[r.orderID] {
		return len(m.result) < m.limit
	}
	for len(m.rows) > 0 && m.rows[0].before(r) && len(m.result) < m.limit {
		m.result, m.rows = append(m.result, m.rows[0]), m.rows[1:]
	}
	if len(m.result) < m.limit {
		m.result = append(m.result, r)
	}
	return len(m.result) < m.limit
}

// finish returns all rows of the reply.
func (m *merge) finish() []*row {
	rest := min(m.limit-len(m.result), len(m.rows))
	return append(m.result, m.rows[:rest]...)
}
