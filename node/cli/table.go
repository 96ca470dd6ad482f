package cli

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// table writes rows in columns, a page at a time. A column is never narrower than on the pages before, so that it keeps
// its place.
type table struct {
	out    io.Writer
	rows   [][]string
	widths []int
}

// add puts a row on the page. Every row has the same number of cells.
func (t *table) add(cells ...string) {
	t.rows = append(t.rows, cells)
	if t.widths == nil {
		t.widths = make([]int, len(cells)-1) // nothing comes after the last
	}
	for i := range t.widths {
		t.widths[i] = max(t.widths[i], utf8.RuneCountInString(cells[i]))
	}
}

// flush writes the page and begins another.
func (t *table) flush() error {
	var b strings.Builder
	for _, cells := range t.rows {
		for i, width := range t.widths {
			fmt.Fprintf(&b, "%-*s  ", width, cells[i])
		}
		fmt.Fprintln(&b, cells[len(cells)-1])
	}
	t.rows = t.rows[:0]
	_, err := io.WriteString(t.out, b.String())
	return err
}
