package timeline

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/orderly-engine/orderly/actors/order"
)

// WriteText writes the order and its events for humans, as seen at the time now.
func (v *View) WriteText(w io.Writer, now time.Time) error {
	if err := v.WriteHeader(w, now); err != nil || len(v.Events) == 0 {
		return err
	}
	return NewLines(w).WriteFolded(v.Events)
}

// WriteHeader writes the state of the order without its events.
func (v *View) WriteHeader(w io.Writer, now time.Time) error {
	var b bytes.Buffer
	field := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s  %s\n", name, Printable(fmt.Sprintf(format, args...)))
	}
	field("order", "%s", v.OrderID)
	if v.story == nil {
		field("status", "%s: stored in the inbox, no node has accepted it yet", v.Status)
		_, err := w.Write(b.Bytes())
		return err
	}
	field("customer", "%s", v.CustomerID)
	field("total", "%s %s", v.Total, v.Currency)
	field("status", "%s", v.statusLine(now))
	field("plan", "%s", v.planLine())
	field("accepted", "%s", timeAndDistance(v.CreatedAt, now))
	if v.Driver != nil {
		field("driver", "%s", v.driverLine(now))
	}
	if v.Next != nil {
		field("next", "%s", v.nextLine(now))
	}
	if v.WaitsUntil != nil {
		field("waits for", "%s", v.WaitsFor)
		field("until", "%s%s", timeAndDistance(*v.WaitsUntil, now), v.untilNote(now))
	}
	if v.LastError != "" && !v.Ended() {
		field("last error", "%s", v.LastError)
	}
	if v.InDoubtSince != nil {
		field("in doubt", "%s", v.doubtLine(now))
	}
	if v.Status == order.Attention.String() && v.Reason != v.LastError {
		field("cause", "%s", v.Reason)
	}
	if len(v.Undone) > 0 {
		field("undone", "%s", v.undoneLine())
	}
	if len(v.Kept) > 0 {
		field("kept", "%s: the plan has no undo for that", strings.Join(v.Kept, ", "))
	}
	if v.TraceID != "" {
		field("trace", "%s", v.TraceID)
	}
	v.writeAdvice(&b)
	b.WriteByte('\n')
	_, err := w.Write(b.Bytes())
	return err
}

// doubtLine says what is known about the current call.
func (v *View) doubtLine(now time.Time) string {
	since := timeAndDistance(*v.InDoubtSince, now)
	if v.Performed {
		return "since " + since + ": the call was performed, and its answer could not be read"
	}
	return "since " + since + ": the call may have been performed"
}

func (v *View) planLine() string {
	line := fmt.Sprintf("%s, %d of %d steps done", v.Plan, v.StepsDone, v.Steps)
	if v.StepsUndone > 0 {
		line += fmt.Sprintf(", %d undone", v.StepsUndone)
	}
	return line
}

// statusLine describes the status and since when the order has it.
func (v *View) statusLine(now time.Time) string {
	s := &v.story.state
	if v.Ended() {
		line := v.Status
		if v.Reason != "" {
			line += ": " + v.Reason
		}
		return fmt.Sprintf("%s (after %s, %s)", line, preciseDuration(v.UpdatedAt.Sub(v.CreatedAt)), relativeTime(v.UpdatedAt, now))
	}
	line := fmt.Sprintf("%s since %s", v.Status, timeAndDistance(v.StatusSince, now))
	if s.Status == order.Parked && v.story.parks > 1 {
		line += fmt.Sprintf(", %d times in a row since %s", v.story.parks, timeAndDistance(v.story.firstParked, now))
	}
	switch {
	case s.Status == order.Attention && s.AttentionCause.GetStep() == "":
		line += ": a person must decide"
	case s.Status == order.Attention:
		line += ": a person must decide about " + attentionCall(s.AttentionCause)
	case s.Cancel != nil:
		line += ": being undone, a cancel was requested" + reasonSuffix("", s.Cancel.GetReason())
	case s.Refusal != nil:
		line += fmt.Sprintf(": being undone, %s was refused%s", s.Refusal.GetStep(), reasonSuffix(s.Refusal.GetCode(), s.Refusal.GetReason()))
	}
	return line
}

// driverLine names the driver and the age of the last entry, which shows if its node has stopped responding.
func (v *View) driverLine(now time.Time) string {
	line := fmt.Sprintf("node %s since %s", v.Driver.Node, timeAndDistance(v.Driver.Since, now))
	if v.UpdatedAt.After(v.Driver.Since) {
		line += ", last entry " + relativeTime(v.UpdatedAt, now)
	}
	return line
}

func (v *View) nextLine(now time.Time) string {
	n := v.Next
	line := fmt.Sprintf("%s, attempt %d", n.callName(), n.Attempt)
	if n.Attempts > 0 {
		line += fmt.Sprintf(" of %d", n.Attempts)
	}
	switch {
	case v.WaitsUntil != nil:
	case n.At != nil && n.At.After(now):
		line += ", at " + timeAndDistance(*n.At, now)
	default:
		line += ", now"
	}
	if n.Settles {
		line += "; it finds out if the step was performed"
	}
	return line
}

// overdueAfter is how long after its timer a parked order counts as overdue.
const overdueAfter = 15 * time.Second

// untilNote says what the timer does, or that it is overdue.
func (v *View) untilNote(now time.Time) string {
	if now.After(v.WaitsUntil.Add(overdueAfter)) {
		return "; overdue, no node has woken it: check that a node runs"
	}
	if v.ParkedFor == string(order.ParkPending) {
		return fmt.Sprintf("; without it %s is called again then", v.Next.callName())
	}
	return ""
}

func (v *View) undoneLine() string {
	words := make([]string, len(v.Undone))
	for i, step := range v.Undone {
		words[i] = step
		if v.story.byHand[step] {
			words[i] += " (skipped by a person)"
		}
	}
	return strings.Join(words, ", ")
}

func (v *View) writeAdvice(b *bytes.Buffer) {
	name, all, width := "you can", v.advice(), 0
	for _, a := range all {
		width = max(width, len([]rune(a.command)))
	}
	for _, a := range all {
		fmt.Fprintf(b, "%-10s  %-*s  %s\n", name, width, Printable(a.command), Printable(a.does))
		name = ""
	}
}
