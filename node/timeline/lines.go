package timeline

import (
	"fmt"
	"io"
	"time"
)

// Lines writes one line per event: when, how long after the one before, on which node, and what. Columns keep their
// place as long as nothing wider comes.
type Lines struct {
	w           io.Writer
	before      time.Time
	after, node int
}

// NewLines writes to w.
func NewLines(w io.Writer) *Lines { return &Lines{w: w, after: len("+100.0ms")} }

// Write writes the lines of events, oldest first.
func (l *Lines) Write(events []Event) error {
	before := l.before
	for _, e := range events {
		l.node = max(l.node, len(Printable(e.Node)))
		l.after = max(l.after, len([]rune(gap(before, e.Time))))
		before = e.Time
	}
	for _, e := range events {
		if _, err := fmt.Fprintf(l.w, "  %s  %-*s  %-*s  %s\n",
			clock(e.Time), l.after, gap(l.before, e.Time), l.node, Printable(e.Node), Printable(e.Summary)); err != nil {
			return err
		}
		l.before = e.Time
	}
	return nil
}

// gap is what lies between two moments; nothing lies before the first.
func gap(before, t time.Time) string {
	if before.IsZero() {
		return ""
	}
	return "+" + since(t.Sub(before))
}

// An order that waits for long is parked and woken, or attempted, again and again: of a run of more than foldOver such
// events the first and the last foldKeep are told, and the rest counted.
const (
	foldOver = 12
	foldKeep = 4
)

// WriteFolded is Write for a whole story: long runs of waiting are cut short.
func (l *Lines) WriteFolded(events []Event) error {
	for len(events) > 0 {
		n := 1
		for wait := waits(events[0]); n < len(events) && waits(events[n]) == wait; n++ {
		}
		run := events[:n]
		events = events[n:]
		if n <= foldOver || !waits(run[0]) {
			if err := l.Write(run); err != nil {
				return err
			}
			continue
		}
		head, rest, tail := run[:foldKeep], run[foldKeep:n-foldKeep], run[n-foldKeep:]
		if err := l.Write(head); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(l.w, "  … %d more of the same kinds, until %s (-o json has them all)\n", len(rest), clock(rest[len(rest)-1].Time)); err != nil {
			return err
		}
		l.before = rest[len(rest)-1].Time
		if err := l.Write(tail); err != nil {
			return err
		}
	}
	return nil
}

// waits reports whether an event of this kind can come any number of times while an order gets no further.
func waits(e Event) bool {
	switch e.Kind {
	case "parked", "resumed", "step_failed":
		return true
	}
	return false
}
