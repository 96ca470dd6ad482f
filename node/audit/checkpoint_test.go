package audit_test

import (
	"testing"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// TestCheckpointIsNoOffense also where it tells what the ledger does not keep: data, and texts of errors.
func TestCheckpointIsNoOffense(t *testing.T) {
	w := newWorld(t)
	seq := w.message("o")
	said := w.message("o")
	done, told := step("first"), signal(inbox(said))
	done.GetStepCompleted().Data = structpb.NewStringValue("r-1")
	told.GetSignalled().Data = structpb.NewNumberValue(7)
	failure := &messages.Event{Kind: &messages.Event_StepFailed{StepFailed: &messages.StepFailed{
		Step: "second", Direction: messages.Do, Attempt: 1, Kind: messages.Transient, Error: "no responders",
	}}}
	state := &order.State{}
	for i, events := range [][]*messages.Event{{accepted("o", seq)}, {done}, {told}, {failure}, {step("second"), completed()}} {
		e := &messages.JournalEntry{
			OrderId: "o", Number: uint32(i + 1), Time: timestamppb.Now(), Previous: state.Last, Events: events, Checkpoint: state.Checkpoint(3),
		}
		if (e.Checkpoint != nil) != (i == 4) {
			t.Fatalf("entry %d has a checkpoint: %t", i+1, e.Checkpoint != nil)
		}
		if err := state.Apply(w.entry("o", e), e); err != nil {
			t.Fatal(err)
		}
	}
	w.ack(seq)
	w.ack(said)
	if r := w.read(); !r.Balanced() || r.Orders.Completed != 1 {
		t.Errorf("not balanced: %+v", r)
	}
}
