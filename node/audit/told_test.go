package audit_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// state folds the order's history, which is all that the journal has.
func (w *world) state() *order.State {
	w.Helper()
	events, err := w.js.Stream(w.Context(), messages.StreamEvents)
	w.must(err)
	s := &order.State{}
	for seq := uint64(1); seq <= events.CachedInfo().State.LastSeq; seq++ {
		m, err := events.GetMsg(w.Context(), seq)
		w.must(err)
		e := &messages.JournalEntry{}
		w.must(proto.Unmarshal(m.Data, e))
		w.must(s.Apply(seq, e))
	}
	return s
}

// A timer that tells something else of its order than the journal would make who wakes it go on from there.
func TestTimerTellsWhatTheJournalDoes(t *testing.T) {
	t.Parallel()
	const wrong = "its timer tells something else of it than its history"
	unharmed := func(n *messages.Snapshot) []byte { return journal.EncodeSnapshot(n) }
	for name, c := range map[string]struct {
		body func(*messages.Snapshot) []byte
		// then comes after the timer was set.
		then func(w *world)
		says string
	}{
		"the same":          {body: unharmed},
		"nothing":           {body: func(*messages.Snapshot) []byte { return nil }},
		"nonsense":          {body: func(*messages.Snapshot) []byte { return []byte("nonsense") }},
		"no failure":        {body: func(n *messages.Snapshot) []byte { n.State.LastFailure = nil; return journal.EncodeSnapshot(n) }, says: wrong},
		"another watermark": {body: func(n *messages.Snapshot) []byte { n.State.Watermark++; return journal.EncodeSnapshot(n) }, says: wrong},
		"another plan":      {body: func(n *messages.Snapshot) []byte { n.PlanDigest[0]++; return journal.EncodeSnapshot(n) }, says: wrong},
		"a later version":   {body: func(n *messages.Snapshot) []byte { n.State.Version++; return journal.EncodeSnapshot(n) }},
		"another park":      {body: func(n *messages.Snapshot) []byte { n.Park--; return journal.EncodeSnapshot(n) }, says: wrong},
		"what was so": {body: unharmed, then: func(w *world) {
			ask := w.message("o")
			w.append("o", signal(inbox(ask)))
			w.ack(ask)
		}},
		"what never was, and is over": {
			body: func(n *messages.Snapshot) []byte { n.State.Watermark++; return journal.EncodeSnapshot(n) },
			then: func(w *world) {
				ask := w.message("o")
				w.append("o", signal(inbox(ask)))
				w.ack(ask)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			seq := w.accept("o")
			attempt := failed()
			attempt.GetStepFailed().Error = "no answer"
			w.append("o", attempt, parkedUntil(time.Now().Add(time.Hour)))
			w.scheduleWith("o", w.park("o"), c.body(w.state().Snapshot()))
			if c.then != nil {
				c.then(w)
			}
			w.ack(seq)
			r := w.read()
			if c.says == "" && !r.Balanced() || c.says != "" && (len(r.Offenses) != 1 || r.Offenses[0].OrderID != "o" || r.Offenses[0].Reason != c.says) {
				t.Errorf("offenses %+v, want %q", r.Offenses, c.says)
			}
		})
	}
}
