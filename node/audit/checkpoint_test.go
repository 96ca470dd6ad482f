package audit_test

import (
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// TestEngineCheckpointIsLegal: a checkpoint of the engine's fold equals the state of the audit's own fold, also with data and
// error texts, which the audit does not keep.
func TestEngineCheckpointIsLegal(t *testing.T) {
	w := newTestServer(t)
	seq := w.message("o")
	signalled := w.message("o")
	done, sent := step("first"), signal(inbox(signalled))
	done.GetStepCompleted().Data = `"r-1"`
	sent.GetSignalled().Data = "7"
	failure := &messages.Event{Kind: &messages.Event_StepFailed{StepFailed: &messages.StepFailed{
		Step: "second", Direction: messages.Do, Attempt: 1, Kind: messages.Transient, Error: "no responders",
	}}}
	state := &order.State{}
	for i, events := range [][]*messages.Event{{accepted("o", seq)}, {done}, {sent}, {failure}, {step("second"), completed()}} {
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
	w.ack(signalled)
	if r := w.read(); !r.Balanced() || r.Orders.Completed != 1 {
		t.Errorf("not balanced: %+v", r)
	}
}
