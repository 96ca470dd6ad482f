package order_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/actors/internal/ordertest"
	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// checkRestore puts a checkpoint into each entry in turn and restores from it and the first entry.
func (h *history) checkRestore(t testing.TB) {
	t.Helper()
	for i := 2; i < len(h.entries); i++ {
		before := h.fold(t, i)
		carrier := throughWire(h.entries[i])
		carrier.Previous, carrier.Checkpoint = before.Last, before.Checkpoint(1)
		carrier = throughWire(carrier)
		if err := before.CheckCheckpoint(carrier); err != nil {
			t.Errorf("entry %d: %v", i+1, err)
		}
		s := &order.State{}
		for at, e := range append([]*messages.JournalEntry{h.entries[0], carrier}, h.entries[i+1:]...) {
			if err := s.Restore(stored(e.Number), throughWire(e)); err != nil {
				t.Fatalf("restored from entry %d: %v", i+1, err)
			}
			if at == 0 {
				continue
			}
			want := h.fold(t, int(e.Number))
			want.LastCheckpoint = carrier.Number
			if d := ordertest.Difference(want, s); d != "" {
				t.Errorf("entry %d, restored from entry %d, differs: %s", e.Number, i+1, d)
			}
		}
	}
}

// long is a history of n entries: signals that no step uses.
func long(t *testing.T, n int, data string) *history {
	t.Helper()
	s := newScenario(t)
	s.play(strings.Fields("step pay"))
	s.play(strings.Fields("deliver created 1/a"))
	for i := len(s.history.entries); i < n; i++ {
		event := &messages.Event{Kind: &messages.Event_Signalled{Signalled: &messages.Signalled{
			Source: &messages.Source{Stream: inbox, Sequence: uint64(i + 1)}, Name: fmt.Sprint("s-", i), Data: data,
		}}}
		if err := s.history.append(epoch, event); err != nil {
			t.Fatal(err)
		}
	}
	return s.history
}

// TestCheckpointIsDue: a checkpoint is due after that many entries without one, and not while it would be too large.
func TestCheckpointIsDue(t *testing.T) {
	for number, want := range map[int]bool{1: false, 4: false, 5: true, 9: true} {
		if got := long(t, number, "").state.Checkpoint(4) != nil; got != want {
			t.Errorf("after %d entries a checkpoint is due: %t, want %t", number, got, want)
		}
	}
	h := long(t, 5, "")
	entry := proto.CloneOf(h.entries[4])
	entry.Number, entry.Checkpoint = 6, h.state.Checkpoint(4)
	entry.Events[0].GetSignalled().Source.Sequence = 60
	if err := h.add(entry); err != nil {
		t.Fatal(err)
	}
	if h.state.LastCheckpoint != 6 || h.state.Checkpoint(4) != nil {
		t.Errorf("checked at %d: want 6, and no other checkpoint at once", h.state.LastCheckpoint)
	}
	if c := long(t, 9, strconv.Quote(strings.Repeat("x", 8<<10))).state.Checkpoint(4); c != nil {
		t.Errorf("a checkpoint of %d bytes", proto.Size(c))
	}
}

// TestUnusableCheckpoint: one of another version is ignored, and CheckCheckpoint finds a wrong one.
func TestUnusableCheckpoint(t *testing.T) {
	h := long(t, 6, "")
	before := h.fold(t, 5)
	carrier := throughWire(h.entries[5])
	carrier.Previous, carrier.Checkpoint = before.Last, before.Checkpoint(4)
	carrier.Checkpoint.Watermark++
	if err := before.CheckCheckpoint(carrier); !errors.Is(err, order.ErrCheckpoint) {
		t.Errorf("error %v: want that the checkpoint is wrong", err)
	}
	carrier.Checkpoint.Watermark--
	carrier.Checkpoint.Version++
	if err := before.CheckCheckpoint(carrier); err != nil {
		t.Errorf("error %v about a checkpoint of another version", err)
	}
	s := h.fold(t, 1)
	if err := s.Restore(stored(6), carrier); !errors.Is(err, order.ErrIllegal) {
		t.Errorf("error %v: want that entries are missing", err)
	}
	carrier.Checkpoint.Version--
	if err := h.fold(t, 1).Restore(stored(6), carrier); err != nil {
		t.Errorf("error %v about a good one", err)
	}
	if err := h.fold(t, 1).Apply(stored(6), carrier); !errors.Is(err, order.ErrIllegal) {
		t.Errorf("error %v of Apply: want that entries are missing", err)
	}
	if err := h.fold(t, 3).Restore(stored(6), carrier); !errors.Is(err, order.ErrIllegal) {
		t.Errorf("error %v in the middle of a history: want that entries are missing", err)
	}
	carrier.Previous = stored(6)
	if err := h.fold(t, 1).Restore(stored(6), carrier); !errors.Is(err, order.ErrIllegal) {
		t.Errorf("error %v about an entry stored before the one it follows", err)
	}
}
