package journal_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, natstest.IgnoreServerGoroutines()...) }

// stream creates the journal's stream. A cluster that has just started may refuse requests or not answer them.
func stream(tb testing.TB, nc *nats.Conn, change func(*jetstream.StreamConfig)) jetstream.JetStream {
	tb.Helper()
	js := natstest.JetStream(tb, nc)
	cfg := jetstream.StreamConfig{
		Name: messages.StreamEvents, Subjects: []string{messages.SubjectEvent + "*"}, Storage: jetstream.FileStorage,
		AllowDirect: true, AllowAtomicPublish: true, Duplicates: time.Second,
	}
	if change != nil {
		change(&cfg)
	}
	natstest.Eventually(tb, "the stream is created", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_, err := js.CreateStream(ctx, cfg)
		return err == nil
	})
	return js
}

func open(tb testing.TB, nc *nats.Conn, cfg journal.Config) *journal.Journal {
	tb.Helper()
	j, err := journal.New(natstest.JetStream(tb, nc), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(j.Close)
	return j
}

// modes runs the test against a journal of each kind.
func modes(t *testing.T, run func(*testing.T, *natstest.Server, journal.Config)) {
	t.Run("relaxed", func(t *testing.T) { run(t, natstest.Start(t), journal.Config{}) })
	t.Run("strict", func(t *testing.T) {
		run(t, natstest.Start(t, natstest.SyncAlways), journal.Config{GroupCommit: true, SingleServer: true})
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

// begin starts an append; the channel receives its result.
func begin(tb testing.TB, j *journal.Journal, id messages.OrderID, expected uint64, n int) <-chan result {
	tb.Helper()
	return appended(j, id, expected, body(tb, id, n, expected))
}

// appended is begin with that body.
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
	return natstest.Receive(tb, done, "the completion of an append")
}

// put appends and waits.
func put(tb testing.TB, j *journal.Journal, id messages.OrderID, expected uint64, n int) (uint64, error) {
	tb.Helper()
	r := await(tb, begin(tb, j, id, expected, n))
	return r.seq, r.err
}

func read(tb testing.TB, j *journal.Journal, id messages.OrderID) []journal.Entry {
	tb.Helper()
	entries, _, err := j.Read(natstest.Context(tb), id)
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
