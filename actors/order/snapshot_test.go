package order_test

import (
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/actors/internal/ordertest"
	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// snapshot is the state's snapshot, through the wire format.
func snapshot(t testing.TB, s *order.State) *messages.Snapshot {
	t.Helper()
	n := s.Snapshot()
	if n == nil {
		return nil
	}
	body, err := proto.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	read := &messages.Snapshot{}
	if err := proto.Unmarshal(body, read); err != nil {
		t.Fatal(err)
	}
	return read
}

// checkSnapshots compares the snapshot of every park with the state, and folds the later entries on it.
func (h *history) checkSnapshots(t testing.TB) {
	t.Helper()
	for i := 1; i <= len(h.entries); i++ {
		was := h.fold(t, i)
		n := snapshot(t, was)
		if (n != nil) != (was.Status == order.Parked) {
			t.Fatalf("entry %d: a snapshot of an order that is %s: %v", i, was.Status, n)
		}
		if n == nil {
			continue
		}
		s := order.FromSnapshot(id, was.Plan, n)
		if s == nil {
			t.Fatalf("entry %d: the snapshot is unusable: %v", i, n)
		}
		if d := ordertest.Difference(was, s); d != "" {
			t.Errorf("entry %d: the snapshot differs: %s", i, d)
		}
		for _, e := range h.entries[i:] {
			if err := s.Apply(stored(e.Number), throughWire(e)); err != nil {
				t.Fatalf("after the snapshot of entry %d: %v", i, err)
			}
			if d := ordertest.Difference(h.fold(t, int(e.Number)), s); d != "" {
				t.Errorf("entry %d, after the snapshot of entry %d, differs: %s", e.Number, i, d)
			}
		}
	}
}

// parkedOrder waits for a signal, and has that much data in an unused one.
func parkedOrder(t *testing.T, data int) *order.State {
	t.Helper()
	h := long(t, 1, "")
	if data > 0 {
		h = long(t, 2, strconv.Quote(strings.Repeat("x", data)))
	}
	if err := h.append(epoch, &messages.Event{Kind: &messages.Event_Parked{Parked: &messages.OrderParked{Reason: "waits"}}}); err != nil {
		t.Fatal(err)
	}
	return h.state
}

// TestSnapshotIsNotLarge: the server reads those of all timers that are due at once.
func TestSnapshotIsNotLarge(t *testing.T) {
	if n := parkedOrder(t, 700).Snapshot(); n == nil {
		t.Error("no snapshot of an order of 700 bytes")
	}
	if n := parkedOrder(t, 1<<10).Snapshot(); n != nil {
		t.Errorf("a snapshot of %d bytes", proto.Size(n))
	}
}

// TestUnusableSnapshot: of another order, of another version, or of an impossible state.
func TestUnusableSnapshot(t *testing.T) {
	s := parkedOrder(t, 0)
	for name, harm := range map[string]func(*messages.Snapshot){
		"another order":   func(n *messages.Snapshot) { n.OrderId = "o-2" },
		"no order":        func(n *messages.Snapshot) { n.Order = nil },
		"no plan":         func(n *messages.Snapshot) { n.PlanDigest = nil },
		"another plan":    func(n *messages.Snapshot) { n.PlanDigest[15]++ },
		"no state":        func(n *messages.Snapshot) { n.State = nil },
		"another version": func(n *messages.Snapshot) { n.State.Version++ },
		"running":         func(n *messages.Snapshot) { n.State.Status = "running" },
		"no status":       func(n *messages.Snapshot) { n.State.Status = "" },
		"more done than there is to do": func(n *messages.Snapshot) {
			for range len(s.Plan.Steps) + 1 {
				n.State.Results = append(n.State.Results, &messages.StepResult{})
			}
		},
	} {
		n := snapshot(t, s)
		harm(n)
		if order.FromSnapshot(id, s.Plan, n) != nil {
			t.Errorf("%s: the snapshot is believed", name)
		}
	}
	if order.FromSnapshot(id, s.Plan, nil) != nil {
		t.Error("no snapshot is believed")
	}
	if order.FromSnapshot(id, proto.CloneOf(s.Plan), snapshot(t, s)) == nil {
		t.Error("a good snapshot is not believed")
	}
}

// FuzzSnapshot: a wake-up with any snapshot is answered, and the order can continue after the appended entry.
func FuzzSnapshot(f *testing.F) {
	seed := &order.State{
		ID: id, Last: 30, Number: 3, First: 10, Status: order.Parked, Order: content("c-1"), Accepted: 1, Park: 30,
		Plan:    &messages.Plan{Name: "test", Version: 1, Steps: []*messages.Step{{Name: "pay", Do: "sim:", Undo: "sim:"}, {Name: "ship", Do: "sim:"}}},
		Results: []order.Result{{}},
		Pending: &messages.StepPending{Step: "ship", Signal: "shipped"},
		Signals: []*messages.Signalled{{Name: "shipped"}},
		Cancel:  &messages.CancelRequested{},
	}
	body, err := proto.Marshal(seed.Snapshot())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Fuzz(func(_ *testing.T, body []byte) {
		n := &messages.Snapshot{}
		if proto.Unmarshal(body, n) != nil {
			return
		}
		s := order.FromSnapshot(id, seed.Plan, n)
		if s == nil {
			return
		}
		wake := newDelivery(messages.TypeWake, 1, "a")
		wake.Park = s.Park
		decision := order.Receive(s, wake, order.Env{Now: s.ParkedUntil})
		if decision.Action != order.AppendAndDrive {
			return
		}
		entry := &messages.JournalEntry{OrderId: string(id), Number: s.Number + 1, Events: decision.Events}
		if s.Apply(s.Last+1, entry) == nil {
			s.Next()
		}
	})
}
