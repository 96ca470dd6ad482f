package timeline

import (
	"fmt"
	"io"
	"time"
)

// Lines writes a line for each event: time, time since the previous event, node, summary. Columns are as wide as the widest
// cell so far.
type Lines struct {
	w                       io.Writer
	previous                time.Time
	elapsedWidth, nodeWidth int
}

// NewLines writes to w.
func NewLines(w io.Writer) *Lines { return &Lines{w: w, elapsedWidth: len("+100.0ms")} }

// Write writes the lines of events, oldest first.
func (l *Lines) Write(events []Event) error {
	before := l.previous
	for _, e := range events {
		l.nodeWidth = max(l.nodeWidth, len(Printable(e.Node)))
		l.elapsedWidth = max(l.elapsedWidth, len([]rune(elapsed(before, e.Time))))
		before = e.Time
	}
	for _, e := range events {
		if _, err := fmt.Fprintf(l.w, "  %s  %-*s  %-*s  %s\n",
			formatTime(e.Time), l.elapsedWidth, elapsed(l.previous, e.Time), l.nodeWidth, Printable(e.Node), Printable(e.Summary)); err != nil {
			return err
		}
		l.previous = e.Time
	}
	return nil
}

// elapsed is the time since the previous event; empty for the first.
func elapsed(before, t time.Time) string {
	if before.IsZero() {
		return ""
	}
	return "+" + preciseDuration(t.Sub(before))
}

// An order that waits for a long time is parked and woken, or attempted, many times. Of more than foldOver such consecutive
// events only the first and the last foldKeep are written.
const (
	foldOver = 12
	foldKeep = 4
)

// WriteFolded is Write for all events of an order, with long runs of repeated waiting shortened.
func (l *Lines) WriteFolded(events []Event) error {
	for len(events) > 0 {
		n := 1
		for same := repeats(events[0]); n < len(events) && repeats(events[n]) == same; n++ {
		}
		run := events[:n]
		events = events[n:]
		if n <= foldOver || !repeats(run[0]) {
			if err := l.Write(run); err != nil {
				return err
			}
			continue
		}
		head, folded, tail := run[:foldKeep], run[foldKeep:n-foldKeep], run[n-foldKeep:]
		if err := l.Write(head); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(l.w, "  … %d more of the same kinds, until %s (-o json has them all)\n", len(folded), formatTime(folded[len(folded)-1].Time)); err != nil {
			return err
		}
		l.previous = folded[len(folded)-1].Time
		if err := l.Write(tail); err != nil {
			return err
		}
	}
	return nil
}

// repeats reports whether an order can have any number of such consecutive events without progress.
func repeats(e Event) bool {
	switch e.Kind {
	case "parked", "resumed", "step_failed":
		return true
	}
	return false
}
