package order

import "github.com/orderly-engine/orderly/messages"

// mustResolve reports whether the step in doubt must be called again before anything is undone (R4c): its effect may exist,
// also if another node called it.
func (s *State) mustResolve() bool {
	step := s.inDoubt()
	return step != nil && !tombstone(step)
}

// inDoubt is the step that may or may not have been performed when compensation began, or nil.
func (s *State) inDoubt() *messages.Step {
	if !s.backward() || s.Closed {
		return nil
	}
	return s.current()
}

// maybePerformed reports whether the current call may have been performed without a definite answer.
func (s *State) maybePerformed() bool { return !s.InDoubtSince.IsZero() }

// tombstone reports whether the step's undo also accepts a key that was never performed, and the service then rejects a do
// with that key.
func tombstone(step *messages.Step) bool {
	return step.GetInDoubt() == messages.InDoubt_IN_DOUBT_UNDO && step.GetUndo() != ""
}

// toUndo is the index of the next step to undo, in reverse order of completion, or -1.
// Steps without a compensation and skipped steps are not undone.
func (s *State) toUndo() int {
	if step := s.inDoubt(); step != nil && tombstone(step) {
		return len(s.Results)
	}
	for i := len(s.Results) - 1; i >= 0; i-- {
		if r := s.Results[i]; !r.Undone && !r.Skipped && s.Plan.Steps[i].GetUndo() != "" {
			return i
		}
	}
	return -1
}

// pastPivot reports whether the whole plan is performed and its last step cannot be undone: a cancel that detects this when
// it resolves the step in doubt is too late, and the order completes. Undoing only the other steps would leave the order
// inconsistent.
func (s *State) pastPivot() bool {
	n := len(s.Plan.GetSteps())
	return s.Refusal == nil && n > 0 && s.Finished() && s.Plan.Steps[n-1].GetUndo() == "" && !s.Results[n-1].Skipped
}
