package engine_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/health"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/engine"
)

// limitJournal sets max_bytes of the journal, -1 for none.
func (s *server) limitJournal(bytes int64) {
	s.t.Helper()
	stream, err := s.js.Stream(s.t.Context(), messages.StreamEvents)
	if err != nil {
		s.t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.MaxBytes = bytes
	if _, err := s.js.UpdateStream(s.t.Context(), cfg); err != nil {
		s.t.Fatal(err)
	}
}

func TestUnreadyWhileAppendsFail(t *testing.T) {
	s := newServer(t)
	var monitor health.Monitor
	r := s.start(sim("sim:"), engine.Config{Health: &monitor})
	natstest.Eventually(t, "ready", r.Ready)
	s.limitJournal(1)
	ids := s.publishOrders(3)
	natstest.Eventually(t, "not ready", func() bool { return !r.Ready() })
	if err := monitor.Err(); err == nil || !strings.Contains(err.Error(), "journal: ") || !strings.Contains(err.Error(), "maximum bytes exceeded") {
		t.Errorf("the reason is %v", err)
	}
	s.limitJournal(-1)
	natstest.Eventually(t, "ready again", r.Ready)
	s.untilEmpty()
	s.checkCompleted(ids)
}

// The program's own checks count.
func TestUnreadyByAnotherCheck(t *testing.T) {
	s := newServer(t)
	var monitor health.Monitor
	rights := monitor.Check("rights", 0)
	r := s.start(sim("sim:"), engine.Config{Health: &monitor})
	natstest.Eventually(t, "ready", r.Ready)
	rights.Fail(errors.New("no permission to publish ORDER_EVENT.*"))
	if r.Ready() {
		t.Error("ready without a permission")
	}
	rights.OK()
	if !r.Ready() {
		t.Error("not ready, though nothing fails")
	}
}
