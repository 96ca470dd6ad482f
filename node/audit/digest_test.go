package audit_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// engineState is the engine's fold of the only order in the journal.
func (w *testServer) engineState() *order.State {
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

// A node resumes an order from the timer's snapshot: one that differs from the journal is a violation, unless the order's
// history has grown since, because then no node uses it.
func TestTimerSnapshotIsCompared(t *testing.T) {
	t.Parallel()
	const wrong = "the snapshot in its timer differs from the state of its history"
	parkAgain := func(w *testServer) { w.resume("o"); w.append("o", parkedUntil(time.Now().Add(time.Hour))) }
	unchanged := func(n *messages.Snapshot) []byte { return journal.EncodeSnapshot(n) }
	for name, c := range map[string]struct {
		body func(*messages.Snapshot) []byte
		// after is called after the timer was set.
		after func(w *testServer)
		says  string
	}{
		"the same":          {body: unchanged},
		"nothing":           {body: func(*messages.Snapshot) []byte { return nil }},
		"garbage":           {body: func(*messages.Snapshot) []byte { return []byte("garbage") }},
		"no failure":        {body: func(n *messages.Snapshot) []byte { n.State.LastFailure = nil; return journal.EncodeSnapshot(n) }, says: wrong},
		"another watermark": {body: func(n *messages.Snapshot) []byte { n.State.Watermark++; return journal.EncodeSnapshot(n) }, says: wrong},
		"another plan":      {body: func(n *messages.Snapshot) []byte { n.PlanDigest[0]++; return journal.EncodeSnapshot(n) }, says: wrong},
		"a later version":   {body: func(n *messages.Snapshot) []byte { n.State.Version++; return journal.EncodeSnapshot(n) }},
		"another park":      {body: func(n *messages.Snapshot) []byte { n.State.Park--; return journal.EncodeSnapshot(n) }, says: wrong},
		"an older state":    {body: unchanged, after: parkAgain},
		"wrong and outdated": {
			body:  func(n *messages.Snapshot) []byte { n.State.Watermark++; return journal.EncodeSnapshot(n) },
			after: parkAgain,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newTestServer(t)
			seq := w.accept("o")
			attempt := failed()
			attempt.GetStepFailed().Error = "no answer"
			w.append("o", attempt, parkedUntil(time.Now().Add(time.Hour)))
			w.scheduleWith("o", w.park("o"), c.body(w.engineState().Snapshot()))
			if c.after != nil {
				c.after(w)
			}
			w.ack(seq)
			r := w.read()
			if c.says == "" && !r.Balanced() || c.says != "" && (len(r.Violations) != 1 || r.Violations[0].OrderID != "o" || r.Violations[0].Reason != c.says) {
				t.Errorf("violations %+v, want %q", r.Violations, c.says)
			}
		})
	}
}
