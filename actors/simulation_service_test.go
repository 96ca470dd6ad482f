package actors_test

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// effect is what the services remember of one step of the order. They perform and undo a key once; what they answer to a key
// that they know may differ.
type effect struct {
	step *messages.Step
	// no: the service rejects the step, with foreign by a status alone.
	no, foreign bool
	// denials is how many calls of the key that is performed it answers with a status that says no, unreadable how many answers
	// of calls that are performed or undone cannot be read.
	denials, unreadable int
	// undoPendings is how many undo calls it answers pending first.
	undoPendings int
	// pendings is how many calls it answers pending before it decides.
	pendings int
	// undoRefusals is how many undo calls it rejects first.
	undoRefusals int

	asked  bool
	stands bool
	// waited: it has answered pending.
	waited bool
	// performed and undone count how often the effect really happened: at most once each.
	performed, undone int
	// dead: the undo was called first, and no later call is performed.
	dead bool
}

// answer handles one call of a step, in either direction.
func (w *simulation) answer(c *gateway.Call) (*messages.StepReply, error) {
	e := w.effects[slices.IndexFunc(w.effects, func(e *effect) bool { return e.step.GetName() == c.Request.GetStep() })]
	if c.Direction == messages.Undo {
		return w.undo(e)
	}
	return w.perform(e)
}

func (w *simulation) perform(e *effect) (*messages.StepReply, error) {
	e.asked = true
	if e.dead {
		return refused("undone"), nil
	}
	if e.no && e.pendings == 0 {
		if e.foreign {
			return nil, denied()
		}
		return refused("declined"), nil
	}
	if e.performed > 0 && e.denials > 0 && !e.waited {
		e.denials--
		return nil, denied()
	}
	if !e.no && e.performed == 0 {
		e.performed++
		e.stands = true
		if s := w.truth; s.Status.Terminal() && !w.wasSkipped(e) {
			w.fail("I4: step %s is performed for the first time in an order that is %s", e.step.GetName(), s.Status)
		}
	}
	if e.pendings > 0 {
		e.pendings--
		e.waited = true
		return w.pending("paid"), nil
	}
	return performed(e)
}

func (w *simulation) pending(signal string) *messages.StepReply {
	return &messages.StepReply{Result: &messages.StepReply_Pending{Pending: &messages.StepWaiting{
		Signal: signal, Deadline: timestamppb.New(w.now.Add(time.Minute)),
	}}}
}

// performed is the answer of a call that is performed.
func performed(e *effect) (*messages.StepReply, error) {
	if e.unreadable > 0 {
		e.unreadable--
		return nil, &delivery.Failure{Kind: messages.Unreadable, Err: errors.New("the answer cannot be read"), InDoubt: true}
	}
	return &messages.StepReply{Result: &messages.StepReply_Done{Done: &messages.StepDone{Data: strconv.Quote("data of " + e.step.GetName())}}}, nil
}

// denied is a no by a status alone.
func denied() error {
	return &delivery.Failure{Kind: messages.Rejected, Code: "422", Err: errors.New("answered 422")}
}

func refused(code string) *messages.StepReply {
	return &messages.StepReply{Result: &messages.StepReply_Rejected{Rejected: &messages.StepRefused{Code: code, Reason: "because"}}}
}

func (w *simulation) undo(e *effect) (*messages.StepReply, error) {
	tombstone := e.step.GetInDoubt() == messages.InDoubt_IN_DOUBT_UNDO
	if !e.asked && !tombstone {
		w.fail("I4: step %s is undone and was never called", e.step.GetName())
	}
	if e.undoRefusals > 0 {
		e.undoRefusals--
		return refused("too_late"), nil
	}
	if e.undoPendings > 0 && !e.dead {
		e.undoPendings--
		e.dead = true
		return w.pending("undone"), nil
	}
	w.undone(e)
	e.dead = true
	return performed(e)
}

// undone ends the effect of a step: the service has undone it.
func (w *simulation) undone(e *effect) {
	if e.stands {
		for _, later := range w.effects[slices.Index(w.effects, e)+1:] {
			if later.stands && later.step.GetUndo() != "" && !w.wasSkipped(later) {
				w.fail("step %s is undone before %s", e.step.GetName(), later.step.GetName())
			}
		}
		e.undone++
		e.stands = false
		if s := w.truth; s.Status.Terminal() && !w.wasSkipped(e) {
			w.fail("I4: step %s is undone for the first time in an order that is %s", e.step.GetName(), s.Status)
		}
	}
}

// wasSkipped reports whether a person skipped the step or its undo.
func (w *simulation) wasSkipped(e *effect) bool { return w.skipped[e.step.GetName()] }

// checkEffects compares the effects with the end of the order (I4).
func (w *simulation) checkEffects() {
	for i, e := range w.effects {
		if e.performed > 1 || e.undone > 1 {
			w.fail("I4: step %s was performed %d times and undone %d times", e.step.GetName(), e.performed, e.undone)
		}
		if w.wasSkipped(e) {
			continue
		}
		switch s := w.truth; {
		case s.Status == order.Completed && !e.stands:
			w.fail("I4: completed, but the effect of step %s is missing", e.step.GetName())
		case (s.Status == order.Rejected || s.Status == order.Cancelled) && e.stands && e.step.GetUndo() != "":
			w.fail("I4: %s, but the effect of step %s is not undone", s.Status, e.step.GetName())
		case s.Status == order.Completed && i < len(s.Results) && s.Results[i].Undone:
			w.fail("I4: completed, but step %s is undone", e.step.GetName())
		}
	}
}
