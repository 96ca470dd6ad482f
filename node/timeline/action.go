package timeline

import (
	"fmt"
	"strings"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// What a person can say about an order.
const (
	actSignal = "signal"
	actRetry  = "retry"
	actSkip   = "skip"
	actCancel = "cancel"
)

// actions are the messages that change something for an order in this state.
func actions(s *order.State) []string {
	var all []string
	switch {
	case s.Status.Terminal():
		return nil
	case s.Status == order.Attention:
		all = append(all, actRetry, actSkip)
	case s.ParkedFor() == order.ParkPending && s.Pending.GetSignal() != "":
		all = append(all, actSignal, actRetry)
	case s.Status == order.Parked:
		all = append(all, actRetry)
	}
	if s.Cancel == nil {
		all = append(all, actCancel)
	}
	return all
}

// advice is a command with what it does.
type advice struct{ command, does string }

// advice tells a person what to do about an order at rest, or one that is undone: what runs needs none.
func (v *View) advice() []advice {
	if v.story == nil || v.story.state.Status.Driven() {
		return nil
	}
	s := &v.story.state
	what := v.Next.call()
	if s.Status == order.Attention {
		what = about(s.AttentionCause)
		if what == "" {
			what = "what comes next"
		}
	}
	var all []advice
	for _, act := range v.Actions {
		a := advice{command: fmt.Sprintf("orderly %s %s", act, v.OrderID)}
		switch {
		case act == actSignal:
			a.command += fmt.Sprintf(" %s '{…}'", quoted(v.WaitsSignal))
			a.does = fmt.Sprintf("answers %s, with data", what)
		case act == actRetry && s.Status == order.Attention:
			a.does = fmt.Sprintf("calls %s again, with as many attempts as before", what)
		case act == actRetry && s.ParkedFor() == order.ParkOutage:
			a.does = fmt.Sprintf("calls %s now, if its service is back", what)
		case act == actRetry:
			a.does = fmt.Sprintf("calls %s again now", what)
		case act == actSkip && s.AttentionCause.GetDirection() == messages.Undo:
			a.does = fmt.Sprintf("takes %s as done by hand", what)
		case act == actSkip:
			a.does = fmt.Sprintf("goes on past %s, as done by hand; it is not undone later", what)
		case act == actCancel:
			a.does = "undoes what was done; --dry-run shows what that is"
		}
		all = append(all, a)
	}
	return all
}

// quoted is a word as a shell takes it: a service gave it, and a person may copy the command.
func quoted(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-.:/", r)
	}
	if word != "" && word[0] != '-' && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
