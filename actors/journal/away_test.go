package journal_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// What the client library refuses to send is told in words that say what is wrong, and was certainly not stored.
func TestAwayIsToldPlainly(t *testing.T) {
	s := broker(t, t.TempDir(), nil)
	nc := dial(t, s, nats.ReconnectBufSize(-1))
	stream(t, nc, nil)
	j := open(t, nc, journal.Config{})
	s.Shutdown()
	eventually(t, func() bool { return !nc.IsConnected() })
	_, read := j.Read(t.Context(), "o-1")
	for what, err := range map[string]error{"read": read, "append": await(t, begin(t, j, "o-1", 0, 1)).err} {
		var failure *delivery.Failure
		if !errors.As(err, &failure) || failure.Kind != messages.Infrastructure || errors.Is(err, journal.ErrConflict) {
			t.Errorf("%s: got %v, want a failure of the infrastructure", what, err)
		} else if text := err.Error(); !strings.Contains(text, "not sent; check that") || strings.Contains(text, "nats:") {
			t.Errorf("%s: %s", what, text)
		}
	}
}
