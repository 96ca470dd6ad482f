package engine_test

import (
	"testing"
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/engine"
)

// An engine removes the events of ended orders once they are older than the retention.
func TestRetention(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(sim("sim:"), engine.Config{Retention: 500 * time.Millisecond})
	s.publish(created("o-1"))
	natstest.Eventually(t, "the order is journaled and its events are gone", func() bool {
		events, err := s.js.Stream(t.Context(), messages.StreamEvents)
		if err != nil {
			t.Fatal(err)
		}
		state := events.CachedInfo().State
		return state.LastSeq > 0 && state.Msgs == 0
	})
}

// An engine removes dead letters once they are older than their retention.
func TestDeadRetention(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(sim("sim:"), engine.Config{DeadRetention: 500 * time.Millisecond})
	if _, err := s.js.Publish(t.Context(), messages.SubjectOrder+"o-1", []byte("junk")); err != nil {
		t.Fatal(err)
	}
	natstest.Eventually(t, "the dead letter is stored and removed", func() bool {
		dead, err := s.js.Stream(t.Context(), messages.StreamDead)
		if err != nil {
			t.Fatal(err)
		}
		state := dead.CachedInfo().State
		return state.LastSeq > 0 && state.Msgs == 0
	})
}
