package order

import (
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// PreviewCancel predicts a cancel that is recorded now: the calls that its driver makes, in order, and the final state, if
// every call succeeds. With refuses, the service rejects the step in doubt, if there is one to resolve. An order that has
// ended, or has not started, stays as it is.
//
// It runs the same decisions as the cancel itself, on a copy of s.
func (s *State) PreviewCancel(refuses bool) (calls []Call, after *State) {
	after = s.clone()
	if s.Status == None || s.Status.Terminal() {
		return nil, after
	}
	after.advance(s.cancelNow())
	for after.Status.Driven() {
		move := after.Next()
		if len(move.Events) == 0 {
			calls = append(calls, move.Call)
			move.Events = after.HandleReply(resultOf(move.Call, refuses), Env{Now: s.ChangedAt})
		}
		if !after.advance(move.Events) {
			break
		}
	}
	return calls, after
}

// cancelNow is the entry of a cancel that is recorded now (R3.7, R3.8).
func (s *State) cancelNow() []*messages.Event {
	d := &delivery.Delivery{
		OrderID: s.ID, Type: messages.TypeCancel, Cancel: &messages.CancelOrder{}, Incarnation: "preview",
		Stream: messages.StreamOrders, Sequence: max(s.Watermark, s.Accepted) + 1,
	}
	return Receive(s, d, Env{Predecessors: PredecessorsNone}).Events
}

// advance applies decided events and reports whether s changed.
func (s *State) advance(events []*messages.Event) bool {
	for _, e := range events {
		if s.apply(s.Last+1, e) != "" {
			return false
		}
	}
	s.Uncalled = false
	return len(events) > 0
}

// resultOf is the result of a call that succeeds, or that rejects the step in doubt.
func resultOf(c Call, refuses bool) CallResult {
	if refuses && c.ResolvesDoubt {
		return CallResult{Call: c, Reply: &messages.StepReply{Result: &messages.StepReply_Rejected{Rejected: &messages.StepRefused{}}}}
	}
	return CallResult{Call: c, Reply: &messages.StepReply{Result: &messages.StepReply_Done{Done: &messages.StepDone{}}}}
}
