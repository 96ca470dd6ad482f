package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/orderly-engine/orderly/node/timeline"
)

// jsonIndent is the indentation of JSON output.
const jsonIndent = "  "

// writeJSON writes v as indented JSON.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", jsonIndent)
	return enc.Encode(v)
}

// textWriter is a result with a text form for humans.
type textWriter interface{ WriteText(io.Writer) error }

// writeResult writes a result in the format that -o selects.
func writeResult(w io.Writer, f format, v textWriter) error {
	if f == formatJSON {
		return writeJSON(w, v)
	}
	return v.WriteText(w)
}

// jsonList writes a JSON array element by element, formatted as writeJSON formats it.
type jsonList struct {
	out io.Writer
	// indent is that of the line where the array starts.
	indent  string
	started bool
}

// add writes the next element.
func (l *jsonList) add(v any) error {
	element, err := json.MarshalIndent(v, l.indent+jsonIndent, jsonIndent)
	if err != nil {
		return err
	}
	before := "["
	if l.started {
		before = ","
	}
	l.started = true
	_, err = fmt.Fprintf(l.out, "%s\n%s%s", before, l.indent+jsonIndent, element)
	return err
}

// end closes the array. After an error it is left open, so that the output is not valid JSON.
func (l *jsonList) end() error {
	if !l.started {
		_, err := io.WriteString(l.out, "[]")
		return err
	}
	_, err := fmt.Fprintf(l.out, "\n%s]", l.indent)
	return err
}

// table writes rows in columns, a page at a time. A column is never narrower than on the pages before.
type table struct {
	out    io.Writer
	rows   [][]string
	widths []int
}

// add adds a row to the page. Every row has the same number of cells.
func (t *table) add(cells ...string) {
	t.rows = append(t.rows, cells)
	if t.widths == nil {
		t.widths = make([]int, len(cells)-1) // the last column is not padded
	}
	for i := range t.widths {
		t.widths[i] = max(t.widths[i], utf8.RuneCountInString(cells[i]))
	}
}

// flush writes the page and starts the next.
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

// maxCell bounds the text of a cell, in characters; -o json has all of it.
const maxCell = 80

// cell makes untrusted text safe for a table. An empty text is a dash, so that every row has all columns.
func cell(s string) string {
	if s == "" {
		return "-"
	}
	if runes := []rune(timeline.Printable(s)); len(runes) > maxCell {
		return string(runes[:maxCell]) + "…"
	}
	return timeline.Printable(s)
}

// age formats how long ago something was.
func age(d time.Duration) string {
	switch d = max(0, d); {
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	case d < 48*time.Hour:
		return d.Round(time.Second).String()
	}
	return fmt.Sprintf("%.0fd", d.Hours()/24)
}

// count is a number with its noun: 1 order, 2 orders.
func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// maxListed is how many errors of one kind are printed.
const maxListed = 10

// errorList collects errors of one kind: it keeps the first maxListed and counts the others.
type errorList struct {
	n     int
	first []error
}

func (l *errorList) add(err error) {
	if l.n++; l.n <= maxListed {
		l.first = append(l.first, err)
	}
}

// errors returns the errors to print.
func (l *errorList) errors() []error {
	if more := l.n - len(l.first); more > 0 {
		return append(l.first, fmt.Errorf("and %d more", more))
	}
	return l.first
}
