package timeline

import (
	"net/url"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// Cancellation tells what a cancel that takes effect now would do, as long as every service does what it is asked. Its
// JSON form is stable.
type Cancellation struct {
	OrderID string `json:"order_id"`
	Status  string `json:"status"`
	Effect  Effect `json:"effect"`
	// Outcome is the status that the order comes to.
	Outcome string `json:"outcome"`
	// Settles is the step of which nobody knows if it was performed: it is called again, under its key, before anything
	// is undone.
	Settles *Call `json:"settles,omitempty"`
	// Undoes are the calls that undo, in their order. Of a step that is settled, only if it turns out to be performed.
	Undoes []Call `json:"undoes"`
	// Keeps are the steps that are done and not undone by this cancel.
	Keeps []Kept `json:"keeps"`
	// IfRefused says what becomes of the order instead when the step in doubt turns out to be refused; only where that
	// leads to another outcome.
	IfRefused *Alternative `json:"if_refused,omitempty"`

	// pending: the step in doubt answered that it is.
	pending bool
}

// Effect is what a cancel amounts to.
type Effect string

// The effects.
const (
	// EffectUndo: what was done is undone, and the order ends as cancelled.
	EffectUndo Effect = "undo"
	// EffectRequested: a cancel was requested before, and another one changes nothing; the rest tells what is left to do.
	EffectRequested Effect = "requested_before"
	// EffectTooLate: the order completes, for its last step is performed, or will be found to be, and has no undo.
	EffectTooLate Effect = "too_late"
	// EffectEnded: nothing can happen to the order any more.
	EffectEnded Effect = "ended"
	// EffectReceived: no node has accepted the order yet; its plan, and with it what would be undone, is not known.
	EffectReceived Effect = "received"
	// EffectStuck: the cancel does not get through; the order comes to rest until a person decides.
	EffectStuck Effect = "stuck"
)

// Call is one call to a service.
type Call struct {
	Step string `json:"step"`
	// Target without credentials and options.
	Target string `json:"target"`
}

// Kept is a step that stays as it is.
type Kept struct {
	Step string `json:"step"`
	// Why is one of: no undo, passed over, undone before, the order completes.
	Why string `json:"why"`
}

// Otherwise is the other way in which a cancel can go.
type Alternative struct {
	Outcome string `json:"outcome"`
	Undoes  []Call `json:"undoes"`
}

// PreviewCancel foretells a cancel by what would carry it out.
func (v *View) PreviewCancel() *Cancellation {
	c := &Cancellation{OrderID: v.OrderID, Status: v.Status, Outcome: v.Status, Undoes: []Call{}, Keeps: []Kept{}}
	if v.story == nil {
		c.Effect, c.Outcome = EffectReceived, order.Cancelled.String()
		return c
	}
	s := &v.story.state
	if s.Status.Terminal() {
		c.Effect = EffectEnded
		return c
	}
	calls, after := s.PreviewCancel(false)
	c.Outcome = after.Status.String()
	c.Settles, c.Undoes = split(s, calls)
	c.pending = s.Pending != nil
	c.Keeps = keeps(s, after)
	switch {
	case after.Status == order.Completed:
		c.Effect = EffectTooLate
	case !after.Status.Terminal():
		c.Effect = EffectStuck
	case s.Cancel != nil:
		c.Effect = EffectRequested
	default:
		c.Effect = EffectUndo
	}
	if c.Settles != nil && c.Effect == EffectTooLate {
		calls, after := s.PreviewCancel(true)
		_, undoes := split(s, calls)
		c.IfRefused = &Alternative{Outcome: after.Status.String(), Undoes: undoes}
	}
	return c
}

// split tells the call that settles from those that undo.
func split(s *order.State, calls []order.Call) (settles *Call, undoes []Call) {
	undoes = []Call{}
	for _, c := range calls {
		step := s.Plan.Steps[c.Step]
		if c.Direction == messages.Undo {
			undoes = append(undoes, Call{Step: step.GetName(), Target: bare(step.GetUndo())})
		} else {
			settles = &Call{Step: step.GetName(), Target: bare(step.GetDo())}
		}
	}
	return settles, undoes
}

// keeps are the steps whose effects are as before, or stay.
func keeps(before, after *order.State) []Kept {
	kept := []Kept{}
	for i, r := range after.Results {
		name := before.Plan.Steps[i].GetName()
		switch {
		case i < len(before.Results) && before.Results[i].Undone:
			kept = append(kept, Kept{name, "undone before"})
		case r.Undone:
		case r.Skipped:
			kept = append(kept, Kept{name, "passed over"})
		case before.Plan.Steps[i].GetUndo() == "":
			kept = append(kept, Kept{name, "no undo"})
		default:
			kept = append(kept, Kept{name, "the order completes"})
		}
	}
	return kept
}

// bare is a target without what may be secret.
func bare(target string) string {
	u, err := url.Parse(target)
	if err != nil {
		return ""
	}
	u.User, u.RawQuery, u.Fragment, u.ForceQuery = nil, "", "", false
	return u.String()
}
