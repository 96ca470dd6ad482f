package ledger_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/ingress/ledger"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, natstest.IgnoreServerGoroutines()...) }

const (
	withoutEffect  = messages.LedgerKind_LEDGER_KIND_WITHOUT_EFFECT
	deadLettered   = messages.LedgerKind_LEDGER_KIND_DEAD_LETTERED
	historyDeleted = messages.LedgerKind_LEDGER_KIND_HISTORY_DELETED
)

// testServer is a server with the streams.
type testServer struct {
	testing.TB
	js jetstream.JetStream
}

func newTestServer(t testing.TB) *testServer {
	t.Helper()
	w := &testServer{t, natstest.Start(t).JetStream()}
	w.must(ingress.EnsureStreams(natstest.Context(t), w.js, ingress.Streams{}))
	return w
}

func (w *testServer) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *testServer) node() *ledger.Ledger { return ledger.New(w.js, slog.New(slog.DiscardHandler)) }

func (w *testServer) read() *ledger.State {
	w.Helper()
	s, err := ledger.Read(natstest.Context(w), w.js)
	w.must(err)
	return s
}

// stored is how many messages the stream has.
func (w *testServer) stored() uint64 {
	w.Helper()
	stream, err := w.js.Stream(natstest.Context(w), messages.StreamLedger)
	w.must(err)
	return stream.CachedInfo().State.Msgs
}

// Several nodes append and summarize at once: nothing is forgotten, everything counts once, and the stream stays small.
func TestSummariesForgetNothing(t *testing.T) {
	w := newTestServer(t)
	const nodes, records = 3, 700
	var running sync.WaitGroup
	for node := range uint64(nodes) {
		l := w.node()
		running.Go(func() {
			for i := range uint64(records) {
				kind := []messages.LedgerKind{withoutEffect, deadLettered, historyDeleted}[i%3]
				// Every other record is stored by two nodes.
				first := i*10 + node*(i%2) + 1
				if err := l.Append(context.Background(), kind, ledger.Set{{First: first, Last: first}}); err != nil {
					t.Error(err)
					return
				}
				if i%100 == 0 {
					if got := w.read(); !got.Set.Has(first) {
						t.Errorf("%d is forgotten", first)
					}
				}
			}
		})
	}
	running.Wait()
	var want []uint64
	for node := range uint64(nodes) {
		for i := range uint64(records) {
			want = append(want, i*10+node*(i%2)+1)
		}
	}
	got := w.read()
	if !slices.Equal(got.Set, ledger.NewSet(want)) {
		t.Errorf("%d sequences, want %d", got.Set.Len(), ledger.NewSet(want).Len())
	}
	if c := got.Counts; c.WithoutEffect+c.DeadLettered+c.HistoryDeleted != got.Set.Len() || c.DeadLettered == 0 {
		t.Errorf("%+v for %d sequences", c, got.Set.Len())
	}
	if n := w.stored(); n > 3*256*2 {
		t.Errorf("the ledger has %d messages after %d records", n, nodes*records)
	}
}

// A set that is too large for one message becomes several, and a summary of several parts.
func TestLargeSets(t *testing.T) {
	w := newTestServer(t)
	var scattered []uint64
	for i := range uint64(50_000) {
		scattered = append(scattered, 2*i+1)
	}
	l := w.node()
	w.must(l.Append(natstest.Context(t), withoutEffect, ledger.NewSet(scattered)))
	for i := range uint64(2000) {
		w.must(l.Append(natstest.Context(t), historyDeleted, ledger.Set{{First: 2*i + 2, Last: 2*i + 2}}))
	}
	got := w.read()
	if got.Set.Len() != 52_000 || len(got.Set) != 50_000-2000 || got.Counts.HistoryDeleted != 2000 {
		t.Errorf("%d sequences in %d runs, %+v", got.Set.Len(), len(got.Set), got.Counts)
	}
	if n := w.stored(); n > 256*(1+4)+10 {
		t.Errorf("the ledger has %d messages", n)
	}
}

// A node that dies while it stores a summary leaves parts without one: they count for nothing, and go with the next summary.
func TestHalfASummary(t *testing.T) {
	w := newTestServer(t)
	l := w.node()
	w.must(l.Append(natstest.Context(t), deadLettered, ledger.Set{{First: 5, Last: 6}}))
	w.must(ledger.AppendPart(natstest.Context(t), l, "half", ledger.Set{{First: 5, Last: 6}, {First: 100, Last: 100}}))
	if got := w.read(); got.Set.Len() != 2 || got.Counts.DeadLettered != 2 {
		t.Errorf("%+v", got)
	}
	for i := range uint64(300) {
		w.must(l.Append(natstest.Context(t), withoutEffect, ledger.Set{{First: i + 200, Last: i + 200}}))
	}
	if got := w.read(); got.Set.Len() != 302 || got.Counts.WithoutEffect != 300 || w.stored() > 260 {
		t.Errorf("%+v, %d messages", got.Counts, w.stored())
	}
}

// Nodes that start at once begin one ledger; a later start changes nothing.
func TestBegin(t *testing.T) {
	w := newTestServer(t)
	w.must(w.js.DeleteStream(natstest.Context(t), messages.StreamLedger))
	for i := range 3 {
		_, err := w.js.Publish(natstest.Context(t), fmt.Sprint(messages.SubjectOrder, "o-", i), nil)
		w.must(err)
	}
	var starting sync.WaitGroup
	for range 4 {
		starting.Go(func() {
			if err := ingress.EnsureStreams(context.Background(), w.js, ingress.Streams{}); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	_, err := w.js.Publish(natstest.Context(t), messages.SubjectOrder+"o-3", nil)
	w.must(err)
	w.must(ingress.EnsureStreams(natstest.Context(t), w.js, ingress.Streams{}))
	if got := w.read(); got.Floor != 3 || w.stored() != 1 {
		t.Errorf("floor %d, %d messages", got.Floor, w.stored())
	}
}
