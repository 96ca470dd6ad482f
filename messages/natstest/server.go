package natstest

import (
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
)

// Option changes the options of a server before it starts.
type Option func(*server.Options)

// SyncAlways makes the server sync each write to disk before it acknowledges it.
func SyncAlways(o *server.Options) { o.SyncAlways = true }

// NoJetStream leaves JetStream out, so that a test can answer its requests itself.
func NoJetStream(o *server.Options) { o.JetStream = false }

// StoreDir keeps the store in dir. Default: a directory that is removed at the end of the test.
func StoreDir(dir string) Option { return func(o *server.Options) { o.StoreDir = dir } }

// Server is a NATS server with JetStream on a port of 127.0.0.1. Its methods are for the test's goroutine.
type Server struct {
	// Server is the running server, another one after each Start.
	*server.Server
	t       testing.TB
	options server.Options
}

// Start starts a server on a free port.
func Start(t testing.TB, options ...Option) *Server {
	t.Helper()
	s := newServer(t, options...)
	s.Start()
	return s
}

func newServer(t testing.TB, options ...Option) *Server {
	t.Helper()
	s := &Server{t: t, options: server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: t.TempDir(), JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 8 << 30,
	}}
	for _, change := range options {
		change(&s.options)
	}
	t.Cleanup(s.Stop)
	return s
}

// Start starts the server again after Stop, on the same port and store.
func (s *Server) Start() {
	s.t.Helper()
	options := s.options // a server changes its options
	srv, err := server.NewServer(&options)
	if err != nil {
		s.t.Fatal(err)
	}
	srv.Start()
	s.Server = srv
	if !srv.ReadyForConnections(Patience) {
		s.t.Fatalf("the NATS server is not ready within %s", Patience)
	}
	s.options.Port = srv.Addr().(*net.TCPAddr).Port
}

// Stop shuts the server down and waits until its store is closed. Later calls do nothing.
func (s *Server) Stop() {
	if s.Server != nil {
		s.Shutdown()
		s.WaitForShutdown()
	}
}

// Connect returns a connection that reconnects for as long as the test runs. Asynchronous errors are dropped: a server that
// stops causes many.
func (s *Server) Connect(options ...nats.Option) *nats.Conn {
	s.t.Helper()
	return Connect(s.t, s.ClientURL(), options...)
}

// Connect is Server.Connect for the server with that URL.
func Connect(t testing.TB, url string, options ...nats.Option) *nats.Conn {
	t.Helper()
	closed := make(chan struct{})
	defaults := []nats.Option{
		nats.Timeout(Patience), nats.MaxReconnects(-1), nats.ReconnectWait(10 * time.Millisecond), nats.ReconnectJitter(0, 0),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }),
	}
	nc, err := nats.Connect(url, append(defaults, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		nc.Close()
		Receive(t, closed, "the closed handler of a NATS connection")
	})
	return nc
}

// JetStream returns the JetStream client of a new connection to the server.
func (s *Server) JetStream(options ...nats.Option) jetstream.JetStream {
	s.t.Helper()
	return JetStream(s.t, s.Connect(options...))
}

// JetStream returns the JetStream client of a connection.
func JetStream(t testing.TB, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// IgnoreServerGoroutines are the goroutines that a stopped server can leave behind: those of the store of an interrupted
// atomic batch, and of its clock.
func IgnoreServerGoroutines() []goleak.Option {
	const server = "github.com/nats-io/nats-server/v2/server"
	return []goleak.Option{
		goleak.IgnoreTopFunction(server + ".(*fileStore).flushStreamStateLoop"),
		goleak.IgnoreTopFunction(server + ".(*msgBlock).flushLoop"),
		goleak.IgnoreTopFunction(server + "/ats.Register.func1"),
	}
}
