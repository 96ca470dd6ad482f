package timeline

import (
	"fmt"
	"strings"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// The messages that an operator can send about an order.
const (
	actSignal = "signal"
	actRetry  = "retry"
	actSkip   = "skip"
	actCancel = "cancel"
)

// actions are the messages that have an effect in this state.
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

// advice lists the commands for an order that no node drives.
func (v *View) advice() []advice {
	if v.story == nil || v.story.state.Status.Driven() {
		return nil
	}
	s := &v.story.state
	target := v.Next.callName()
	if s.Status == order.Attention {
		target = attentionCall(s.AttentionCause)
		if target == "" {
			target = "the next step"
		}
	}
	var all []advice
	for _, act := range v.Actions {
		a := advice{command: fmt.Sprintf("orderly %s %s", act, v.OrderID)}
		switch {
		case act == actSignal:
			a.command += fmt.Sprintf(" %s '{…}'", shellQuote(v.WaitsSignal))
			a.does = fmt.Sprintf("answers %s, with data", target)
			if s.Pending.GetDirection() == messages.Undo {
				a.does = fmt.Sprintf("says that %s is done", target)
			}
		case act == actRetry && s.Status == order.Attention && s.Performed:
			a.does = fmt.Sprintf("calls %s once more", target)
		case act == actRetry && s.Status == order.Attention:
			a.does = fmt.Sprintf("calls %s again, with all the attempts of the plan", target)
		case act == actRetry && s.ParkedFor() == order.ParkOutage:
			a.does = fmt.Sprintf("calls %s now, if its service is back", target)
		case act == actRetry:
			a.does = fmt.Sprintf("calls %s again now", target)
		case act == actSkip && s.AttentionCause.GetDirection() == messages.Undo:
			a.does = fmt.Sprintf("continues as if %s were done", target)
		case act == actSkip && s.Performed:
			a.does = fmt.Sprintf("continues after %s, which is performed; it is undone later if need be", target)
		case act == actSkip:
			a.does = fmt.Sprintf("continues after %s as if it were done; it is not undone later", target)
		case act == actCancel:
			a.does = "undoes the steps that are done; --dry-run lists them"
		}
		all = append(all, a)
	}
	return all
}

// shellQuote quotes a word of untrusted text for a shell: users copy the commands.
func shellQuote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-.:/", r)
	}
	if word != "" && word[0] != '-' && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
