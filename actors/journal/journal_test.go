package journal_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
)

func TestMain(m *testing.M) {
	// A server stopped within an atomic batch leaves the goroutines of that batch's store behind.
	const server = "github.com/nats-io/nats-server/v2/server"
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction(server+".(*fileStore).flushStreamStateLoop"),
		goleak.IgnoreTopFunction(server+".(*msgBlock).flushLoop"),
		goleak.IgnoreTopFunction(server+"/ats.Register.func1"))
}

// patience is how long a test waits for what must happen.
const patience = time.Minute

// broker starts an embedded server that keeps its store in dir.
func broker(tb testing.TB, dir string, change func(*server.Options)) *server.Server {
	tb.Helper()
	opts := &server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true,
		JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 8 << 30,
	}
	// What is measured is measured as the engine's own server syncs. Tests leave it at minutes: the server sets the timer
	// without its lock, and the race detector sees that where the timer fires before the store is ready.
	if _, measured := tb.(*testing.B); measured {
		opts.SyncInterval = 100 * time.Millisecond
	}
	if change != nil {
		change(opts)
	}
	s, err := server.NewServer(opts)
	if err != nil {
		tb.Fatal(err)
	}
	s.Start()
	tb.Cleanup(func() { stop(s) })
	if !s.ReadyForConnections(patience) {
		tb.Fatal("server is not ready for connections")
	}
	return s
}

func stop(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

func syncAlways(o *server.Options) { o.SyncAlways = true }

func dial(tb testing.TB, s *server.Server, options ...nats.Option) *nats.Conn {
	tb.Helper()
	nc, err := nats.Connect(s.ClientURL(), append([]nats.Option{
		nats.Timeout(patience), nats.MaxReconnects(-1), nats.ReconnectWait(10 * time.Millisecond), nats.ReconnectJitter(0, 0),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
	}, options...)...)
	if err != nil {
		tb.Fatal(err)
	}
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	tb.Cleanup(func() {
		nc.Close()
		<-closed
	})
	return nc
}

// stream creates the journal's stream. In a young cluster a request can be refused, for want of peers, or have no answer,
// for its leader is another one by now: it is sent again.
func stream(tb testing.TB, nc *nats.Conn, change func(*jetstream.StreamConfig)) jetstream.JetStream {
	tb.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		tb.Fatal(err)
	}
	cfg := jetstream.StreamConfig{
		Name: messages.StreamEvents, Subjects: []string{messages.SubjectEvent + "*"}, Storage: jetstream.FileStorage,
		AllowDirect: true, AllowAtomicPublish: true, Duplicates: time.Second,
	}
	if change != nil {
		change(&cfg)
	}
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		_, err = js.CreateStream(ctx, cfg)
		cancel()
		if err == nil {
			return js
		}
		if time.Now().After(end) {
			tb.Fatal(err)
		}
	}
}

func open(tb testing.TB, nc *nats.Conn, cfg journal.Config) *journal.Journal {
	tb.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		tb.Fatal(err)
	}
	j, err := journal.New(js, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(j.Close)
	return j
}

// modes runs the test against a journal of each kind.
func modes(t *testing.T, run func(*testing.T, *server.Server, journal.Config)) {
	t.Run("relaxed", func(t *testing.T) { run(t, broker(t, t.TempDir(), nil), journal.Config{}) })
	t.Run("strict", func(t *testing.T) {
		run(t, broker(t, t.TempDir(), syncAlways), journal.Config{GroupCommit: true, SingleServer: true})
	})
}

// body is the encoded n-th entry of the order; it may name the sequence of the one before.
func body(tb testing.TB, id messages.OrderID, n int, previous ...uint64) []byte {
	tb.Helper()
	e := entry(id, n)
	for _, sequence := range previous {
		e.Previous = sequence
	}
	b, err := journal.Encode(nil, e)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func entry(id messages.OrderID, n int) *messages.JournalEntry {
	return &messages.JournalEntry{
		OrderId: string(id), Number: uint32(n), Node: "n1",
		Events: []*messages.Event{{Kind: &messages.Event_StepCompleted{StepCompleted: &messages.StepCompleted{
			Step: fmt.Sprintf("step-%d", n), Attempt: 1, TookUs: 1234,
		}}}},
	}
}

// result of one append.
type result struct {
	seq uint64
	err error
}

// begin hands an append to the journal; the channel brings its result.
func begin(tb testing.TB, j *journal.Journal, id messages.OrderID, expected uint64, n int) <-chan result {
	tb.Helper()
	return appended(j, id, expected, body(tb, id, n, expected))
}

// appended is begin of that body.
func appended(j *journal.Journal, id messages.OrderID, expected uint64, body []byte) <-chan result {
	done := make(chan result, 2)
	j.Append(&journal.Append{
		OrderID: id, Expected: expected, Kinds: "step_completed", Body: body,
		Done: func(_ *journal.Append, seq uint64, err error) { done <- result{seq, err} },
	})
	return done
}

func await(tb testing.TB, done <-chan result) result {
	tb.Helper()
	select {
	case r := <-done:
		return r
	case <-time.After(patience):
		tb.Fatal("the append was not completed")
		panic("unreachable")
	}
}

// put appends and waits.
func put(tb testing.TB, j *journal.Journal, id messages.OrderID, expected uint64, n int) (uint64, error) {
	tb.Helper()
	r := await(tb, begin(tb, j, id, expected, n))
	return r.seq, r.err
}

func read(tb testing.TB, j *journal.Journal, id messages.OrderID) []journal.Entry {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	entries, err := j.Read(ctx, id)
	if err != nil {
		tb.Fatal(err)
	}
	return entries
}

// chain appends the order's entries one after the other, each from the Done of the one before, until n are stored.
type chain struct {
	journal.Append
	j     *journal.Journal
	n     int
	at    int
	bytes []byte
	group *sync.WaitGroup
	err   error
	// finished is called at the end.
	finished func()
}

func (c *chain) next() {
	c.at++
	c.Body = c.bytes
	c.Done = c.done
	c.j.Append(&c.Append)
}

func (c *chain) done(a *journal.Append, seq uint64, err error) {
	a.Expected = seq
	if c.err = err; err != nil || c.at == c.n {
		c.finished()
		c.group.Done()
		return
	}
	c.next()
}
