package timeline

import (
	"fmt"
	"strings"

	"github.com/orderly-engine/orderly/actors/order"
)

// Completed reports whether the order was carried out.
func (v *View) Completed() bool { return v.Status == order.Completed.String() }

// Conclusion says in a line or a few what the order has come to, and what was undone.
func (v *View) Conclusion() string {
	lines := []string{fmt.Sprintf("order %s is %s%s", v.OrderID, standing(v.Status), v.remark())}
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

// remark goes on after the status.
func (v *View) remark() string {
	if v.story == nil {
		return ": no node has taken it up yet"
	}
	switch s := &v.story.state; {
	case v.Completed() && s.Cancel != nil:
		return fmt.Sprintf(" after %s: the cancel came too late, for the last step is performed and has no undo", v.lasted())
	case v.Ended():
		return " after " + v.lasted() + because("", v.Reason)
	case s.Status == order.Attention:
		return fmt.Sprintf(", a person must decide%s; see \"orderly get %s\"", because("", v.Reason), v.OrderID)
	case s.Status == order.Parked:
		return fmt.Sprintf(" until %s and waits for %s%s", clock(*v.WaitsUntil), v.WaitsFor, undoing(s))
	}
	return fmt.Sprintf("%s; see \"orderly get %s --follow\"", undoing(&v.story.state), v.OrderID)
}

// undoing says that what was asked for is on its way.
func undoing(s *order.State) string {
	if s.Cancel == nil {
		return ""
	}
	return "; the cancel is recorded, and goes on from there"
}

// standing is the status as it follows "is".
func standing(status string) string {
	if status == order.Attention.String() {
		return "in " + status
	}
	return status
}

// lasted is the time from the first entry to the last.
func (v *View) lasted() string { return since(v.UpdatedAt.Sub(v.CreatedAt)) }
