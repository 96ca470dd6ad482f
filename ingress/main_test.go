package ingress_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, natstest.IgnoreServerGoroutines()...) }

// testAckWait keeps tests of redelivery short, and is longer than in-progress acks are late on a busy machine.
const testAckWait = 2 * time.Second

// startServer starts a server with all streams and returns a client of it.
func startServer(t testing.TB) (*natstest.Server, jetstream.JetStream) {
	t.Helper()
	return startServerWith(t, testAckWait)
}

// startServerNoRedelivery is for tests in which nothing may be redelivered because a node was slow.
func startServerNoRedelivery(t testing.TB) (*natstest.Server, jetstream.JetStream) {
	t.Helper()
	return startServerWith(t, 2*natstest.Patience)
}

func startServerWith(t testing.TB, ackWait time.Duration) (*natstest.Server, jetstream.JetStream) {
	t.Helper()
	s := natstest.Start(t)
	js := s.JetStream()
	ensureStreams(t, js, ackWait)
	return s, js
}

func ensureStreams(t testing.TB, js jetstream.JetStream, ackWait time.Duration) {
	t.Helper()
	if err := ingress.EnsureStreams(natstest.Context(t), js, ingress.Streams{AckWait: ackWait}); err != nil {
		t.Fatal(err)
	}
}

// waitReconnected waits until a connection has reconnected that many times. That it is connected is not enough: it may not yet
// have noticed that its server stopped, and what it sends then has no reply.
func waitReconnected(t testing.TB, nc *nats.Conn, times uint64) {
	t.Helper()
	natstest.Eventually(t, "the connection is back", func() bool { return nc.Stats().Reconnects >= times && nc.IsConnected() })
}

func endedContext() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func discardLog() *slog.Logger { return slog.New(slog.DiscardHandler) }
