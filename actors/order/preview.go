package order

import (
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// PreviewCancel foretells a cancel that is recorded now: the calls that its driver makes, in their order, and the state
// that the order comes to, given that every service does what it is asked. With refuses the step in doubt, if there is
// one to be settled, turns out to be refused instead. An order that has ended, or has not begun, stays as it is.
//
// It decides and folds with what decides and folds the cancel itself, on a copy of s.
func (s *State) PreviewCancel(refuses bool) (calls []Call, after *State) {
	after = s.clone()
	if s.Status == None || s.Status.Terminal() {
		return nil, after
	}
	after.foresee(s.cancelNow())
	for after.Status.Driven() {
		move := after.Next()
		if len(move.Events) == 0 {
			calls = append(calls, move.Call)
			move.Events = after.HandleReply(resultOf(move.Call, refuses), Env{Now: s.ChangedAt})
		}
		if !after.foresee(move.Events) {
			break
		}
	}
	return calls, after
}

// cancelNow is the entry of a cancel that is recorded now: a delivery of its own wakes an order at rest (R3.7, R3.8).
func (s *State) cancelNow() []*messages.Event {
	d := &delivery.Delivery{
		OrderID: s.ID, Type: messages.TypeCancel, Cancel: &messages.CancelOrder{}, Incarnation: "preview",
		Stream: messages.StreamOrders, Sequence: max(s.Watermark, s.Accepted) + 1,
	}
	return Receive(s, d, Env{Predecessors: PredecessorsNone}).Events
}

// foresee applies events that decisions led to and reports whether that brought s further.
func (s *State) foresee(events []*messages.Event) bool {
	for _, e := range events {
		if s.apply(s.Last+1, e) != "" {
			return false
		}
	}
	return len(events) > 0
}

// resultOf is what a service says that does what it is asked, or that refuses to have performed the step in doubt.
func resultOf(c Call, refuses bool) CallResult {
	if refuses && c.ResolvesDoubt {
		return CallResult{Call: c, Reply: &messages.StepReply{Result: &messages.StepReply_Rejected{Rejected: &messages.StepRefused{}}}}
	}
	return CallResult{Call: c, Reply: &messages.StepReply{Result: &messages.StepReply_Done{Done: &messages.StepDone{}}}}
}
