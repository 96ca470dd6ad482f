package timeline

import (
	"fmt"
	"strings"

	"github.com/orderly-engine/orderly/actors/order"
)

// Completed reports whether the order completed.
func (v *View) Completed() bool { return v.Status == order.Completed.String() }

// Conclusion states in one to three lines how the order ended, or what it waits for, and what was undone.
func (v *View) Conclusion() string {
	lines := []string{fmt.Sprintf("order %s is %s%s", v.OrderID, statusPhrase(v.Status), v.statusDetail())}
	switch {
	case len(v.Undone) > 0:
		lines = append(lines, "undone: "+v.undoneLine())
	case v.Ended() && !v.Completed():
		lines = append(lines, "undone: nothing")
	}
	if len(v.Kept) > 0 {
		lines = append(lines, "kept: "+strings.Join(v.Kept, ", ")+" (the plan has no undo for that)")
	}
	for i := range lines {
		lines[i] = Printable(lines[i])
	}
	return strings.Join(lines, "\n")
}

// statusDetail continues the sentence behind the status.
func (v *View) statusDetail() string {
	if v.story == nil {
		return ": no node has accepted it yet"
	}
	switch s := &v.story.state; {
	case v.Completed() && s.Cancel != nil:
		return fmt.Sprintf(" after %s: the cancel came too late, for the last step is performed and has no undo", v.duration())
	case v.Ended():
		return " after " + v.duration() + reasonSuffix("", v.Reason)
	case s.Status == order.Attention:
		return fmt.Sprintf(", a person must decide%s; see \"orderly get %s\"", reasonSuffix("", v.Reason), v.OrderID)
	case s.Status == order.Parked:
		return fmt.Sprintf(" until %s and waits for %s%s", formatTime(*v.WaitsUntil), v.WaitsFor, cancelPending(s))
	}
	return fmt.Sprintf("%s; see \"orderly get %s --follow\"", cancelPending(&v.story.state), v.OrderID)
}

// cancelPending says that a requested cancel has not ended the order yet.
func cancelPending(s *order.State) string {
	if s.Cancel == nil {
		return ""
	}
	return "; the cancel is recorded and in progress"
}

// statusPhrase is the status behind "is".
func statusPhrase(status string) string {
	if status == order.Attention.String() {
		return "in " + status
	}
	return status
}

// duration is the time from the first entry to the last.
func (v *View) duration() string { return preciseDuration(v.UpdatedAt.Sub(v.CreatedAt)) }
