package ledger_test

import (
	"testing"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/ledger"
)

// settle acknowledges the next message of the inbox, which stays stored: nobody sweeps.
func (w *world) settle(want uint64) {
	w.Helper()
	c, err := w.js.Consumer(w.Context(), messages.StreamOrders, messages.Consumer)
	w.must(err)
	m, err := c.Next()
	w.must(err)
	meta, err := m.Metadata()
	w.must(err)
	if meta.Sequence.Stream != want {
		w.Fatalf("message %d comes, want %d", meta.Sequence.Stream, want)
	}
	w.must(m.DoubleAck(w.Context()))
}

// What is settled counts as that before it is swept away.
func TestSettledMessagesAreNotOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	seq := w.accept("a")
	w.append("a", step("first"))
	w.append("a", step("second"), completed())
	letter := w.message("junk")
	w.dead(letter)
	w.ack(letter) // the message of a dead letter is removed at once
	again := w.message("a")
	w.message("b") // nobody has taken it in
	w.settle(seq)
	w.settle(again)
	r := w.read()
	want := ledger.Inbox{EverStored: 4, Waiting: 1, Accepted: 1, DeadLettered: 1, WithoutEffect: 1}
	if r.Inbox != want || !r.Balanced() {
		t.Errorf("inbox %+v, want %+v; offenses %+v", r.Inbox, want, r.Offenses)
	}
}

// A settled message drives nobody, though it may be stored.
func TestDriverThatIsSettled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lost := w.accept("lost")
	w.accept("carried")
	w.settle(lost)
	r := w.read()
	if len(r.Offenses) != 1 || r.Offenses[0].OrderID != "lost" {
		t.Errorf("offenses %+v, want that nobody carries lost", r.Offenses)
	}
}
