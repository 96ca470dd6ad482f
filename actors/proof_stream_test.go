package actors_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
)

// streamKeepers keep orders in the real journal, on JetStream of an embedded server.
type streamKeepers struct {
	journal *journal.Journal
	orders  int
}

// streamKeeper keeps one of them.
type streamKeeper struct {
	*streamKeepers
	order messages.OrderID
}

func newStreamKeepers(t *testing.T) *streamKeepers {
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
		SyncInterval: 100 * time.Millisecond, JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 1 << 30,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.WaitForShutdown)
	t.Cleanup(s.Shutdown)
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server does not get ready")
	}
	closed := make(chan struct{})
	nc, err := nats.Connect(s.ClientURL(), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		nc.Close()
		<-closed
	})
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: messages.StreamEvents, Subjects: []string{messages.SubjectEvent + "*"}, Storage: jetstream.FileStorage,
		AllowDirect: true, AllowAtomicPublish: true,
	}); err != nil {
		t.Fatal(err)
	}
	j, err := journal.New(js, journal.Config{Node: "proof"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.Close)
	return &streamKeepers{journal: j}
}

// next keeps an order that there was not before.
func (k *streamKeepers) next() keeper {
	k.orders++
	return &streamKeeper{k, messages.OrderID(fmt.Sprintf("o-%d", k.orders))}
}

func (k *streamKeeper) id() messages.OrderID { return k.order }

func (k *streamKeeper) append(a *journal.Append) (sequence uint64, err error) {
	done := make(chan struct{})
	a.Done = func(_ *journal.Append, seq uint64, failure error) {
		sequence, err = seq, failure
		close(done)
	}
	k.journal.Append(a)
	<-done
	return sequence, err
}

func (k *streamKeeper) read() ([]journal.Entry, error) { return k.ask(k.journal.Read) }

func (k *streamKeeper) history() ([]journal.Entry, error) { return k.ask(k.journal.History) }

func (k *streamKeeper) ask(read func(context.Context, messages.OrderID) ([]journal.Entry, error)) ([]journal.Entry, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return read(ctx, k.order)
}
