package audit_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/audit"
)

// consumers are the names of the consumers of all streams.
func (w *testServer) consumers() []string {
	w.Helper()
	var names []string
	for _, name := range []string{messages.StreamOrders, messages.StreamEvents, messages.StreamTimers, messages.StreamDead} {
		s, err := w.js.Stream(w.Context(), name)
		w.must(err)
		all := s.ConsumerNames(w.Context())
		for name := range all.Name() {
			names = append(names, name)
		}
		w.must(all.Err())
	}
	slices.Sort(names)
	return names
}

// untilConsumers waits until the streams have these consumers: the server removes one asynchronously, and by itself only after
// a minute.
func (w *testServer) untilConsumers(want []string) {
	w.Helper()
	natstest.Within(w, 30*time.Second, fmt.Sprintf("the streams have the consumers %v", want), func() bool { return slices.Equal(w.consumers(), want) })
}

// watched calls made after each consumer that is created.
type watched struct {
	jetstream.JetStream
	made func()
}

func (w watched) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	s, err := w.JetStream.Stream(ctx, name)
	return watchedStream{s, w.made}, err
}

type watchedStream struct {
	jetstream.Stream
	made func()
}

func (s watchedStream) OrderedConsumer(ctx context.Context, cfg jetstream.OrderedConsumerConfig) (jetstream.Consumer, error) {
	c, err := s.Stream.OrderedConsumer(ctx, cfg)
	s.made()
	return c, err
}

// TestReadLeavesNoConsumers: whether it ends or is cancelled.
func TestReadLeavesNoConsumers(t *testing.T) {
	t.Parallel()
	w := newTestServer(t)
	w.complete("o", w.accept("o"))
	w.dead(w.message("bad"))

	before, made := w.consumers(), 0
	if _, err := audit.Read(t.Context(), watched{w.js, func() { made++ }}); err != nil {
		t.Fatal(err)
	}
	if made != 2 {
		t.Errorf("%d consumers were made, want 2", made)
	}
	w.untilConsumers(before)

	ctx, cancel := context.WithCancel(t.Context())
	if _, err := audit.Read(ctx, watched{w.js, cancel}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
	w.untilConsumers(before)
}
