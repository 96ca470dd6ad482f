package order

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/messages"
)

// maxSnapshot is the largest snapshot in bytes: the server holds those of all timers that are due at once in memory, several
// times over.
const maxSnapshot = 1 << 10

// Snapshot returns the state of a parked order, to be stored in its timer. It is nil if the order is not parked, or the
// state is too large: then the wake-up reads the journal.
func (s *State) Snapshot() *messages.Snapshot {
	if s.Status != Parked {
		return nil
	}
	n := &messages.Snapshot{
		OrderId:    string(s.ID),
		Order:      s.Order,
		PlanDigest: []byte(messages.PlanDigest(s.Plan)),
		Accepted:   s.Accepted,
		Last:       s.Last,
		Number:     s.Number,
		Checked:    s.LastCheckpoint,
		State:      s.checkpoint(),
		Began:      timestamppb.New(s.StartedAt),
		Changed:    timestamppb.New(s.ChangedAt),
	}
	if proto.Size(n) > maxSnapshot {
		return nil
	}
	return n
}

// FromSnapshot is the state in a snapshot of the order: the fold of its entries up to Last. It is nil if the snapshot is
// unusable, of another order, or of another plan.
func FromSnapshot(id messages.OrderID, plan *messages.Plan, n *messages.Snapshot) *State {
	switch {
	case n == nil || n.GetOrderId() != string(id) || n.GetOrder() == nil || string(n.GetPlanDigest()) != messages.PlanDigest(plan):
		return nil
	case !messages.CheckpointSupported(n.GetState()) || statusOf(n.GetState().GetStatus()) != Parked:
		return nil
	case len(n.GetState().GetResults()) > len(plan.GetSteps()):
		return nil
	}
	s := &State{
		ID:             id,
		Last:           n.GetLast(),
		Number:         n.GetNumber(),
		First:          n.GetState().GetFirst(),
		LastCheckpoint: n.GetChecked(),
		Order:          n.GetOrder(),
		Plan:           plan,
		Accepted:       n.GetAccepted(),
		Results:        make([]Result, 0, len(plan.GetSteps())),
		StartedAt:      n.GetBegan().AsTime(),
		ChangedAt:      n.GetChanged().AsTime(),
	}
	s.restoreCheckpoint(n.GetState())
	return s
}
