package plandraw

import (
	"fmt"
	"io"
	"strings"

	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/messages"
)

// WriteMermaid writes the drawing as a Mermaid flowchart: solid arrows are the way of an order, dotted ones lead back.
func (d Drawing) WriteMermaid(w io.Writer) error {
	var b strings.Builder
	steps := d.Plan.GetSteps()
	fmt.Fprintf(&b, "flowchart TD\n  accepted([\"%s v%d: accepted\"]) --> s1\n", d.Plan.GetName(), d.Plan.GetVersion())
	for i, s := range steps {
		shape := [2]string{"[", "]"}
		label := fmt.Sprintf("%d %s<br/>%s<br/>%s", i+1, s.GetName(), quote(d.target(s.GetDo(), limits(s))), attempts(s))
		if pointOfNoReturn(steps, i) {
			shape, label = [2]string{"{{", "}}"}, label+"<br/>point of no return"
		}
		fmt.Fprintf(&b, "  s%d%s\"%s\"%s\n", i+1, shape[0], label, shape[1])
		if i < len(steps)-1 {
			fmt.Fprintf(&b, "  s%d -- done --> s%d\n", i+1, i+2)
		} else {
			fmt.Fprintf(&b, "  s%d -- done --> completed([\"completed\"])\n", i+1)
		}
	}
	for i, s := range steps {
		before := nodeBefore(steps, i)
		fmt.Fprintf(&b, "  s%d -. no .-> %s\n", i+1, before)
		if s.GetUndo() != "" {
			fmt.Fprintf(&b, "  u%d[\"undo %s<br/>%s\"]\n", i+1, s.GetName(), quote(plan.DisplayTarget(s.GetUndo())))
			fmt.Fprintf(&b, "  u%d -. undone .-> %s\n", i+1, before)
			fmt.Fprintf(&b, "  s%d -. in doubt at a cancel%s .-> u%d\n", i+1, settles(s), i+1)
		}
	}
	fmt.Fprintf(&b, "  ended([\"rejected or cancelled\"])\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// nodeBefore is the node to which the order goes back from step i: the undo of the step before that has one, or the end.
func nodeBefore(steps []*messages.Step, i int) string {
	for i--; i >= 0; i-- {
		if steps[i].GetUndo() != "" {
			return fmt.Sprintf("u%d", i+1)
		}
	}
	return "ended"
}

// settles says that a step in doubt is called again before its undo.
func settles(s *messages.Step) string {
	if s.GetInDoubt() == messages.InDoubt_IN_DOUBT_UNDO {
		return ""
	}
	return ", called again"
}

// quote makes text safe within the quotation marks of a label.
func quote(s string) string {
	return strings.NewReplacer(`&`, "#amp;", `"`, "#quot;", "<", "#lt;", ">", "#gt;").Replace(s)
}
