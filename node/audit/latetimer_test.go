package audit_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/messages"
)

// TestLateTimer: a timer of the current park that is due long after the park's end is a violation; one that is up to a minute
// late, or of an earlier park, is not.
func TestLateTimer(t *testing.T) {
	t.Parallel()
	until := time.Now().Add(time.Hour).Truncate(time.Second)
	due := func(w *testServer, id string, park uint64, at time.Time) {
		w.store(messages.SubjectTimer+id, nil, "Nats-Schedule", "@at "+at.UTC().Format(time.RFC3339Nano),
			"Nats-Schedule-Target", messages.SubjectWake+id, messages.HeaderPark, fmt.Sprint(park))
	}
	for name, c := range map[string]struct {
		make func(w *testServer)
		says string
	}{
		"years late": {func(w *testServer) { due(w, "o", w.park("o"), until.AddDate(10, 0, 0)) },
			fmt.Sprintf("its timer is due at %s, and it is parked until %s", until.AddDate(10, 0, 0).UTC().Format(time.RFC3339), until.UTC().Format(time.RFC3339))},
		"just too late": {func(w *testServer) { due(w, "o", w.park("o"), until.Add(time.Minute+time.Millisecond)) }, "its timer is due at"},
		"a little late": {func(w *testServer) { due(w, "o", w.park("o"), until.Add(time.Minute)) }, ""},
		"in time":       {func(w *testServer) { due(w, "o", w.park("o"), until) }, ""},
		"early":         {func(w *testServer) { due(w, "o", w.park("o"), until.Add(-time.Minute)) }, ""},
		"of a park that is over": {func(w *testServer) {
			due(w, "o", w.park("o"), until.AddDate(10, 0, 0))
			w.resume("o")
		}, ""},
		"of an earlier park, whose driver is still stored": {func(w *testServer) {
			due(w, "o", w.park("o"), until.AddDate(10, 0, 0))
			w.resume("o")
			w.append("o", parkedUntil(until))
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newTestServer(t)
			seq := w.accept("o")
			w.append("o", parkedUntil(until))
			c.make(w)
			w.ack(seq)
			r := w.read()
			if c.says == "" {
				if !r.Balanced() {
					t.Errorf("violations %+v", r.Violations)
				}
				return
			}
			if len(r.Violations) != 1 || r.Violations[0].OrderID != "o" || !strings.HasPrefix(r.Violations[0].Reason, c.says) {
				t.Errorf("violations %+v, want %q", r.Violations, c.says)
			}
		})
	}
}

func parkedUntil(at time.Time) *messages.Event {
	return &messages.Event{Kind: &messages.Event_Parked{Parked: &messages.OrderParked{Until: timestamppb.New(at)}}}
}
