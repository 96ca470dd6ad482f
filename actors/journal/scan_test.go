package journal_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// TestScanLeavesNoConsumer: Scan deletes its consumer however it ends, because each consumer makes every append more expensive.
func TestScanLeavesNoConsumer(t *testing.T) {
	nc := natstest.Start(t).Connect()
	js := stream(t, nc, nil)
	write(t, js, "a", 10, false)
	enough := errors.New("enough")
	for name, c := range map[string]struct {
		visit func(cancel context.CancelFunc) error
		want  error
	}{
		"to its end":       {func(context.CancelFunc) error { return nil }, nil},
		"at an error":      {func(context.CancelFunc) error { return enough }, enough},
		"with its context": {func(cancel context.CancelFunc) error { cancel(); return nil }, context.Canceled},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		err := journal.Scan(ctx, js, func(journal.Entry) error {
			if n := consumers(t, js); n != 1 {
				t.Errorf("%s: %d consumers read the journal, want 1", name, n)
			}
			return c.visit(cancel)
		})
		cancel()
		if !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", name, err, c.want)
		}
		// The server may answer this request before it has processed the deletion. By itself it removes a consumer after ten
		// seconds.
		for end := time.Now().Add(5 * time.Second); consumers(t, js) != 0; <-time.After(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: %d consumers are left", name, consumers(t, js))
			}
		}
	}
}

// consumers counts those of the journal.
func consumers(t *testing.T, js jetstream.JetStream) int {
	t.Helper()
	s, err := js.Stream(t.Context(), messages.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.Consumers
}
