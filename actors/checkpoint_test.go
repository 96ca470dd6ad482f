package actors_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// TestLongHistory: an order with many entries has checkpoints, and resuming it from the last one gives the same state as
// from all entries.
func TestLongHistory(t *testing.T) {
	s := newFixture(t)
	const calls = 60
	for range calls {
		s.steps.plan["pay/do"] = append(s.steps.plan["pay/do"], answer{reply: reply("pending")})
	}
	s.deliver(newDelivery(messages.TypeCreated, 1, 1))
	s.await(t, "settle 1 done")
	for seq := uint64(2); seq <= calls; seq++ {
		d := newDelivery(messages.TypeSignal, seq, 1)
		d.Signal.Name = "unknown"
		s.deliver(d)
		s.await(t, fmt.Sprintf("settle %d done", seq))
	}
	s.deliver(newDelivery(messages.TypeSignal, calls+1, 1))
	s.await(t, fmt.Sprintf("settle %d done", calls+1))

	if got := s.memory.kinds(id); !strings.HasSuffix(got, " signalled,resumed step_completed step_completed,completed") {
		t.Errorf("the order did not end: …%s", got[max(0, len(got)-200):])
	}
	state, since := &order.State{}, 0
	for _, e := range s.memory.History(id) {
		if err := state.CheckCheckpoint(e.Entry); err != nil {
			t.Errorf("entry %d: %v", e.Entry.GetNumber(), err)
		}
		if err := state.Apply(e.Sequence, e.Entry); err != nil {
			t.Fatal(err)
		}
		if since++; e.Entry.GetCheckpoint() != nil {
			since = 0
		}
		if since > 18 {
			t.Fatalf("entry %d: %d entries since the last checkpoint", e.Entry.GetNumber(), since)
		}
	}
	if state.LastCheckpoint == 0 {
		t.Error("no checkpoint was written")
	}
}
