package index_test

import (
	"flag"
	"strings"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/node/server/index"
)

// TestQueriesUseIndexes: every kind of query reads an index and merges; none scans the table or sorts it.
func TestQueriesUseIndexes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := index.Fill(dir, 1000); err != nil {
		t.Fatal(err)
	}
	x, closes, err := index.Reader(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer closes()
	page, err := x.List(t.Context(), index.Query{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, statuses := range [][]string{nil, {"attention"}, {"attention", "parked"}} {
		for _, customer := range []string{"", "c-1"} {
			for _, reason := range []string{"", "no responders"} {
				for _, older := range []time.Duration{0, time.Hour} {
					for _, cursor := range []string{"", page.Next} {
						q := index.Query{Status: statuses, Customer: customer, Reason: reason, Older: index.Duration(older), Newer: index.Duration(3 * older), Cursor: cursor}
						steps, err := x.Explain(q)
						if err != nil {
							t.Fatal(err)
						}
						want := "USING INDEX orders_by_status (status=? AND status_since>? AND status_since<?)"
						if customer != "" {
							want = "USING INDEX orders_by_customer (customer=? AND status=? AND status_since>? AND status_since<?)"
						}
						walks := 0
						for _, step := range steps {
							switch {
							case strings.HasPrefix(step, "SEARCH orders") && strings.HasSuffix(step, want):
								walks++
							case strings.HasPrefix(step, "SCAN"), strings.HasPrefix(step, "SEARCH"), strings.Contains(step, "TEMP B-TREE") && !strings.Contains(step, "LAST TERM"):
								t.Errorf("%+v: %s", q, step)
							}
						}
						if n := len(statuses); walks != n && (n > 0 || walks != len(index.StatusNames)) {
							t.Errorf("%+v: %d walks:\n%s", q, walks, strings.Join(steps, "\n"))
						}
					}
				}
			}
		}
	}
}

var rows = flag.Int("rows", 100_000, "orders in the index of BenchmarkList")

// BenchmarkList queries an index of many orders. For a million: go test ./node/server/index -run - -bench List -rows 1000000
func BenchmarkList(b *testing.B) {
	dir := b.TempDir()
	if err := index.Fill(dir, *rows); err != nil {
		b.Fatal(err)
	}
	x, closes, err := index.Reader(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer closes()
	some, err := x.List(b.Context(), index.Query{Status: []string{"completed"}, Older: index.Duration(time.Minute), Limit: 1})
	if err != nil {
		b.Fatal(err)
	}
	for name, q := range map[string]index.Query{
		"latest":           {},
		"attention":        {Status: []string{"attention"}},
		"deep page":        {Status: []string{"completed"}, Cursor: some.Next},
		"customer":         {Customer: some.Orders[0].CustomerID},
		"customer, status": {Customer: some.Orders[0].CustomerID, Status: []string{"attention"}},
		"age":              {Status: []string{"attention"}, Older: index.Duration(time.Minute)},
		"reason":           {Status: []string{"attention"}, Reason: "NO RESPONDERS"},
		"reason of none":   {Status: []string{"attention"}, Reason: "card network"},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := x.List(b.Context(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
