// Package plandraw draws a plan: the steps from top to bottom, the way back from bottom to top, and what happens when a call is
// refused, fails or stays in doubt.
package plandraw

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/orderly-engine/orderly/actors/directory"
	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/messages"
)

// Drawing is a plan with the directory that names its downstreams.
type Drawing struct {
	Plan        *messages.Plan
	Downstreams *directory.Directory
}

// WriteText writes the drawing for a terminal. The left rail is the way of an order, the right one the way back.
func (d Drawing) WriteText(w io.Writer) error {
	var b strings.Builder
	steps := d.Plan.GetSteps()
	noun := "steps"
	if len(steps) == 1 {
		noun = "step"
	}
	fmt.Fprintf(&b, "plan %s v%d, %d %s\n\n", d.Plan.GetName(), d.Plan.GetVersion(), len(steps), noun)
	fmt.Fprintf(&b, "   accepted\n   │   ▲  back to: rejected or cancelled, when every step that was done is undone\n")
	for i, s := range steps {
		note := ""
		if pointOfNoReturn(steps, i) {
			note = "   ◆ point of no return: it cannot be undone, and a cancel that finds it done is too late"
		}
		fmt.Fprintf(&b, "   │   │\n   ▼   %s  %d %s%s\n", wayBack(s), i+1, s.GetName(), note)
		for _, line := range d.details(i) {
			fmt.Fprintf(&b, "   │   │      %-9s %s\n", line[0], line[1])
		}
	}
	fmt.Fprintf(&b, "   │\n   ▼      completed\n\n")
	fmt.Fprintf(&b, "A call that fails in all its attempts, an undo too, needs a person: retry, skip or cancel.\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// wayBack is the mark of a step on the right rail.
func wayBack(s *messages.Step) string {
	if s.GetUndo() == "" {
		return "│"
	}
	return "▲"
}

// pointOfNoReturn reports whether the step is the last one and has no undo.
func pointOfNoReturn(steps []*messages.Step, i int) bool {
	return i == len(steps)-1 && steps[i].GetUndo() == ""
}

// details are the lines about a step, each with its heading.
func (d Drawing) details(i int) [][2]string {
	s := d.Plan.GetSteps()[i]
	lines := [][2]string{{"do", d.target(s.GetDo(), limits(s))}}
	undo := "none: what it did is kept"
	if s.GetUndo() != "" {
		undo = d.target(s.GetUndo(), "")
	}
	return append(lines, [2]string{"undo", undo}, [2]string{"attempts", attempts(s)},
		[2]string{"no", d.refused(i)}, [2]string{"in doubt", inDoubt(d.Plan.GetSteps(), i)})
}

// target is a call with its downstream.
func (d Drawing) target(url, limits string) string {
	text := plan.DisplayTarget(url)
	if e := d.Downstreams.Lookup(url); e.Remote {
		text += "  → service " + e.Name
	}
	return text + limits
}

// limits are those of a step's downstream.
func limits(s *messages.Step) string {
	var all []string
	if n := s.GetLimits().GetConcurrency(); n > 0 {
		all = append(all, fmt.Sprintf("%d calls at a time", n))
	}
	if r := s.GetLimits().GetRate(); r > 0 {
		all = append(all, fmt.Sprintf("%g calls per second", r))
	}
	if len(all) == 0 {
		return ""
	}
	return ", at most " + strings.Join(all, " and ")
}

func attempts(s *messages.Step) string {
	r := s.GetRetry()
	text := fmt.Sprintf("each waits %s for its answer; ", short(s.GetTimeout().AsDuration()))
	if r.GetAttempts() == 1 {
		return text + "one only"
	}
	return text + fmt.Sprintf("%d, %s to %s apart", r.GetAttempts(), short(r.GetInitial().AsDuration()), short(r.GetMax().AsDuration()))
}

// refused says what a rejection of the step does.
func (d Drawing) refused(i int) string {
	if names := undoneBefore(d.Plan.GetSteps(), i); len(names) > 0 {
		return "undoes " + strings.Join(names, ", ") + "; the order ends as rejected"
	}
	return "the order ends as rejected, and there is nothing to undo"
}

// undoneBefore lists the steps that are undone when step i is refused, in that order.
func undoneBefore(steps []*messages.Step, i int) (names []string) {
	for i--; i >= 0; i-- {
		if steps[i].GetUndo() != "" {
			names = append(names, steps[i].GetName())
		}
	}
	return names
}

// inDoubt says what happens to the step when the order is cancelled while it is unknown whether the step is done.
func inDoubt(steps []*messages.Step, i int) string {
	s := steps[i]
	switch {
	case s.GetInDoubt() == messages.InDoubt_IN_DOUBT_UNDO:
		return "when the order is cancelled: undone at once, without another call of do"
	case s.GetUndo() != "":
		return "when the order is cancelled: called again under its key, then undone if it is done"
	case pointOfNoReturn(steps, i):
		return "when the order is cancelled: called again under its key; if it is done, the order completes"
	}
	return "when the order is cancelled: called again under its key; what it did is kept"
}

// short formats a duration without units that are zero.
func short(d time.Duration) string {
	s := d.String()
	if rest, ok := strings.CutSuffix(s, "m0s"); ok {
		s = rest + "m"
	}
	if rest, ok := strings.CutSuffix(s, "h0m"); ok {
		s = rest + "h"
	}
	return s
}
