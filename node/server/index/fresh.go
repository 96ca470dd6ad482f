package index

import (
	"slices"
	"strings"
)

// fresh is what is known of orders beyond the database: the rows that are not written yet.
type fresh struct {
	// rows that a question is about, as they were, the latest first.
	rows []*row
	// hidden are the orders of all such rows: what the database has of them is not the latest.
	hidden map[string]bool
}

// fresh looks at the rows that are not written yet. It may be called from any goroutine.
func (f *feed) fresh(c *checked) fresh {
	f.mu.RLock()
	defer f.mu.RUnlock()
	n := fresh{hidden: make(map[string]bool, len(f.dirty))}
	for _, r := range f.dirty {
		n.hidden[r.orderID] = true
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

// before reports whether r is told before other.
func (r *row) before(other *row) bool {
	return r.entered > other.entered || r.entered == other.entered && r.id > other.id
}

// matches reports whether the question is about the row, as the statement for the database does.
func (c *checked) matches(r *row) bool {
	switch {
	case len(c.statuses) > 0 && !slices.Contains(c.statuses, r.status):
		return false
	case c.customer != "" && r.customer != c.customer:
		return false
	case r.entered > c.before || r.entered < c.after:
		return false
	case c.from != nil && (r.entered > c.from.entered || r.entered == c.from.entered && int64(r.id) >= c.from.id):
		return false
	}
	return c.reason == "" || strings.Contains(small(r.reason), c.reason)
}

// small turns the capital letters of ASCII into small ones, as LIKE takes them for the same.
func small(s string) string {
	return strings.Map(func(c rune) rune {
		if 'A' <= c && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}, s)
}

// merge adds rows of the database, which come in the order of telling, to those beyond it, up to a limit.
type merge struct {
	fresh
	limit int
	told  []*row
}

// add takes the next row of the database, and reports whether there is room for another.
func (m *merge) add(r *row) bool {
	if m.hidden[r.orderID] {
		return len(m.told) < m.limit
	}
	for len(m.rows) > 0 && m.rows[0].before(r) && len(m.told) < m.limit {
		m.told, m.rows = append(m.told, m.rows[0]), m.rows[1:]
	}
	if len(m.told) < m.limit {
		m.told = append(m.told, r)
	}
	return len(m.told) < m.limit
}

// end is all that is told.
func (m *merge) end() []*row {
	rest := min(m.limit-len(m.told), len(m.rows))
	return append(m.told, m.rows[:rest]...)
}
