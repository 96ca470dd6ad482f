package order

import (
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// MaxTakeovers is how many consecutive deliveries may take an order over without progress before it needs attention: the
// order probably crashes its drivers.
const MaxTakeovers = 20

// Move is what an order's driver does next: it appends Events or, if there are none, makes Call.
type Move struct {
	Events []*messages.Event
	Call   Call
}

// Call names one attempt of a step call.
type Call struct {
	// Step is the index in the plan.
	Step      int
	Direction messages.Direction
	// Attempt is 1 for the first call in this direction.
	Attempt uint32
	// ResolvesDoubt: the order is being compensated, and the call resolves whether the step in doubt is performed (R4c).
	ResolvesDoubt bool
}

// Next decides the driver's next move (R4, R4c). The order must be driven.
func (s *State) Next() Move {
	switch {
	case s.Takeovers > MaxTakeovers:
		return appends(attention(s.attentionFor(messages.Defect, "taken over repeatedly without progress: its drivers die or hang")))
	case s.Finished() && (!s.backward() || s.pastPivot()):
		return appends(completed())
	case s.Skip:
		return appends(s.withEnd(s.skip())...)
	case s.backward():
		return s.nextBack()
	case s.Pending != nil:
		if sig := s.unusedSignal(s.Pending.GetSignal()); sig != nil {
			return appends(s.withEnd(s.bySignal(sig))...)
		}
	}
	return s.call(len(s.Results), messages.Do)
}

func (s *State) nextBack() Move {
	if s.mustResolve() {
		if s.Performed {
			return appends(s.withEnd(s.withoutAnswer())...)
		}
		return s.call(len(s.Results), messages.Do)
	}
	i := s.toUndo()
	if i < 0 {
		return appends(s.undoneEnd())
	}
	if s.Pending != nil {
		if sig := s.unusedSignal(s.Pending.GetSignal()); sig != nil {
			return appends(s.withEnd(s.undoneBySignal(i, sig))...)
		}
	}
	return s.call(i, messages.Undo)
}

// undoneEnd is the end of an order that is undone. After a cancel and a rejection it is cancelled.
func (s *State) undoneEnd() *messages.Event {
	if s.Cancel != nil {
		return cancelled(s.Cancel.GetReason())
	}
	return rejected(s.Refusal.GetCode(), s.Refusal.GetReason())
}

func (s *State) call(step int, d messages.Direction) Move {
	return Move{Call: Call{
		Step: step, Direction: d, Attempt: uint32(s.Attempts) + 1,
		ResolvesDoubt: d == messages.Do && s.backward(),
	}}
}

func appends(events ...*messages.Event) Move { return Move{Events: events} }

// skip passes over the call that needed attention.
func (s *State) skip() *messages.Event {
	if s.backward() && !s.mustResolve() {
		if i := s.toUndo(); i >= 0 {
			return stepUndone(&messages.StepUndone{Step: s.Plan.Steps[i].GetName(), Skipped: true})
		}
		return s.undoneEnd()
	}
	if s.Performed {
		return s.withoutAnswer()
	}
	return stepCompleted(&messages.StepCompleted{Step: s.current().GetName(), Skipped: true})
}

// withoutAnswer completes the current step, which is performed and whose answer is unreadable: it is undone like every other
// one that is done.
func (s *State) withoutAnswer() *messages.Event {
	why := "its answer cannot be read"
	if s.LastFailure.GetKind() == messages.Unreadable {
		why = s.LastFailure.GetError()
	}
	return stepCompleted(&messages.StepCompleted{Step: s.current().GetName(), Attempt: uint32(s.Attempts), Dropped: why})
}

func (s *State) undoneBySignal(step int, sig *messages.Signalled) *messages.Event {
	return stepUndone(&messages.StepUndone{
		Step: s.Plan.Steps[step].GetName(), Signal: sig.GetName(), Attempt: uint32(s.Attempts) + 1,
	})
}

func (s *State) bySignal(sig *messages.Signalled) *messages.Event {
	data, dropped := s.keep(sig.GetData())
	return stepCompleted(&messages.StepCompleted{
		Step: s.current().GetName(), Signal: sig.GetName(), Data: data, Attempt: uint32(s.Attempts) + 1, Dropped: dropped,
	})
}

// withEnd adds the order's end to events if nothing is left to do after them: events decided together share an entry.
func (s *State) withEnd(events ...*messages.Event) []*messages.Event {
	after := s.clone()
	for _, e := range events {
		if after.apply(s.Last, e) != "" {
			return events
		}
	}
	if !after.Status.Driven() {
		return events
	}
	if after.backward() && !after.pastPivot() {
		if !after.mustResolve() && after.toUndo() < 0 {
			return append(events, after.undoneEnd())
		}
		return events
	}
	if after.Finished() {
		return append(events, completed())
	}
	return events
}

// attentionFor is the attention event about the next call.
func (s *State) attentionFor(kind messages.FailureKind, cause string) *messages.OrderNeedsAttention {
	n := &messages.OrderNeedsAttention{Kind: kind, Cause: clip(cause)}
	if s.backward() && !s.mustResolve() {
		if i := s.toUndo(); i >= 0 {
			n.Step, n.Direction = s.Plan.Steps[i].GetName(), messages.Undo
		}
		return n
	}
	if step := s.current(); step != nil {
		n.Step, n.Direction = step.GetName(), messages.Do
	}
	return n
}

// GiveUp is the entry of an order whose actor exceeded its restart budget: it needs attention.
func (s *State) GiveUp(f *delivery.Failure) []*messages.Event {
	return []*messages.Event{attention(s.attentionFor(f.Kind, f.Error()))}
}
