package ingress_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/orderly-engine/orderly/ingress"
)

func TestMain(m *testing.M) {
	// A server stopped within an atomic batch leaves the goroutines of that batch's store behind.
	const server = "github.com/nats-io/nats-server/v2/server"
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction(server+".(*fileStore).flushStreamStateLoop"),
		goleak.IgnoreTopFunction(server+".(*msgBlock).flushLoop"),
		goleak.IgnoreTopFunction(server+"/ats.Register.func1"))
}

// broker is an embedded server that can be stopped and started again on the same port and store.
type broker struct {
	t       testing.TB
	options server.Options
	srv     *server.Server
}

func startBroker(t testing.TB) *broker {
	t.Helper()
	b := &broker{t: t, options: server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
		JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 4 << 30,
	}}
	b.start()
	t.Cleanup(b.stop)
	return b
}

func (b *broker) start() {
	b.t.Helper()
	options := b.options
	srv, err := server.NewServer(&options)
	if err != nil {
		b.t.Fatal(err)
	}
	srv.Start()
	if !srv.ReadyForConnections(patience) {
		b.t.Fatal("the server did not start")
	}
	b.srv, b.options.Port = srv, options.Port
}

func (b *broker) stop() {
	b.srv.Shutdown()
	b.srv.WaitForShutdown()
}

func (b *broker) connect(options ...nats.Option) *nats.Conn {
	b.t.Helper()
	options = append([]nats.Option{nats.Timeout(patience), nats.ReconnectWait(20 * time.Millisecond), nats.MaxReconnects(-1),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})}, options...)
	nc, err := nats.Connect(b.srv.ClientURL(), options...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(nc.Close)
	return nc
}

// ready starts a server with all streams and returns a connection to it.
func ready(t testing.TB) (*broker, jetstream.JetStream) {
	t.Helper()
	b := startBroker(t)
	js := jetStream(t, b.connect())
	ensure(t, js)
	return b, js
}

// patient is ready for tests in which nothing may be delivered again because a node was slow.
func patient(t testing.TB) (*broker, jetstream.JetStream) {
	t.Helper()
	b := startBroker(t)
	js := jetStream(t, b.connect())
	ensureWith(t, js, 2*patience)
	return b, js
}

func jetStream(t testing.TB, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// testAckWait keeps tests of redelivery short, and is longer than a busy machine is late with a sign of life.
const testAckWait = 2 * time.Second

func ensure(t testing.TB, js jetstream.JetStream) { t.Helper(); ensureWith(t, js, testAckWait) }

func ensureWith(t testing.TB, js jetstream.JetStream, ackWait time.Duration) {
	t.Helper()
	if err := ingress.EnsureStreams(within(t), js, ingress.Streams{AckWait: ackWait}); err != nil {
		t.Fatal(err)
	}
}

// patience is how long anything may take that happens at all.
const patience = time.Minute

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually polls until ok; a real server is involved, so there is nothing to wait on.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// reconnected waits until a connection that was lost so many times is back. That it is connected is not enough: it may
// not yet have noticed that its server has gone, and what it sends then has no answer.
func reconnected(t testing.TB, nc *nats.Conn, times uint64) {
	t.Helper()
	eventually(t, "the connection is back", func() bool { return nc.Stats().Reconnects >= times && nc.IsConnected() })
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
