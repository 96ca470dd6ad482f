package embedded_test

import (
	"testing"

	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/server/embedded"
)

// A client reconnects to the same address and finds its messages. The data directory stays locked.
func TestReopen(t *testing.T) {
	dir := t.TempDir()
	s := start(t, embedded.Config{DataDir: dir})
	js, st := stream(t, s)
	if _, err := js.Publish(t.Context(), "s.a", []byte("1")); err != nil {
		t.Fatal(err)
	}
	addr := s.Addr()
	if err := s.CanWrite(); err != nil {
		t.Error(err)
	}
	if err := s.Reopen(); err != nil {
		t.Fatal(err)
	}
	if err := s.Failure(); err != nil || s.Addr() != addr {
		t.Errorf("reopened on %s, was %s: %v", s.Addr(), addr, err)
	}
	natstest.Eventually(t, "the client reconnects", func() bool { return js.Conn().Stats().Reconnects == 1 && js.Conn().IsConnected() })
	if got := count(t, st); got != 1 {
		t.Errorf("%d messages", got)
	}
	if _, err := embedded.Start(embedded.Config{DataDir: dir, Addr: "127.0.0.1:0"}); err == nil {
		t.Error("the data directory is not locked")
	}
	s.Shutdown()
	if err := s.Reopen(); err == nil {
		t.Error("a stopped server is reopened")
	}
	if err := s.Failure(); err == nil {
		t.Error("a stopped server has not failed")
	}
}
