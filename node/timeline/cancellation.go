package timeline

import (
	"net/url"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// Cancellation is what a cancel that takes effect now would do, if every call succeeds. Its JSON form is stable.
type Cancellation struct {
	OrderID string `json:"order_id"`
	Status  string `json:"status"`
	Effect  Effect `json:"effect"`
	// Outcome is the status of the order afterwards.
	Outcome string `json:"outcome"`
	// Settles is the step in doubt: it is called again, with the same idempotency key, before anything is undone.
	Settles *Call `json:"settles,omitempty"`
	// Undoes are the undo calls in their order; that of the step in doubt is made only if the step was performed.
	Undoes []Call `json:"undoes"`
	// Keeps are the done steps that this cancel does not undo.
	Keeps []Kept `json:"keeps"`
	// IfRefused is what happens instead if the step in doubt turns out to be refused; nil if the outcome is the same.
	IfRefused *Alternative `json:"if_refused,omitempty"`

	// pending: the step in doubt answered that it is pending.
	pending bool
}

// Effect is the kind of a cancel's effect.
type Effect string

// The effects of a cancel.
const (
	// EffectUndo: the done steps are undone, and the order ends as cancelled.
	EffectUndo Effect = "undo"
	// EffectRequested: a cancel was requested before, another one changes nothing. The other fields are what is left to do.
	EffectRequested Effect = "requested_before"
	// EffectTooLate: the order completes, because its last step is performed, or will be found to be, and has no undo.
	EffectTooLate Effect = "too_late"
	// EffectEnded: the order has ended.
	EffectEnded Effect = "ended"
	// EffectReceived: no node has accepted the order yet, so its plan is unknown.
	EffectReceived Effect = "received"
	// EffectStuck: an undo cannot be made; the order needs attention.
	EffectStuck Effect = "stuck"
)

// Call is one call to a service.
type Call struct {
	Step string `json:"step"`
	// Target without credentials and options.
	Target string `json:"target"`
}

// Kept is a step that is not undone.
type Kept struct {
	Step string `json:"step"`
	// Why is one of: no undo, passed over, undone before, the order completes.
	Why string `json:"why"`
}

// Alternative is the outcome if the step in doubt was refused.
type Alternative struct {
	Outcome string `json:"outcome"`
	Undoes  []Call `json:"undoes"`
}

// PreviewCancel computes the effect of a cancel with the code that would execute it.
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
	c.Settles, c.Undoes = splitCalls(s, calls)
	c.pending = s.Pending != nil
	c.Keeps = keptSteps(s, after)
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
		_, undoes := splitCalls(s, calls)
		c.IfRefused = &Alternative{Outcome: after.Status.String(), Undoes: undoes}
	}
	return c
}

// splitCalls separates the call that settles the step in doubt from the undo calls.
func splitCalls(s *order.State, calls []order.Call) (settles *Call, undoes []Call) {
	undoes = []Call{}
	for _, c := range calls {
		step := s.Plan.Steps[c.Step]
		if c.Direction == messages.Undo {
			undoes = append(undoes, Call{Step: step.GetName(), Target: redactTarget(step.GetUndo())})
		} else {
			settles = &Call{Step: step.GetName(), Target: redactTarget(step.GetDo())}
		}
	}
	return settles, undoes
}

// keptSteps are the performed steps that are not undone between before and after.
func keptSteps(before, after *order.State) []Kept {
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

// redactTarget removes the parts of a target that may be secret: user info, query, fragment.
func redactTarget(target string) string {
	u, err := url.Parse(target)
	if err != nil {
		return ""
	}
	u.User, u.RawQuery, u.Fragment, u.ForceQuery = nil, "", "", false
	return u.String()
}
