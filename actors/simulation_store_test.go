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

// streamStores use the real journal, on JetStream of an embedded server.
type streamStores struct {
	journal *journal.Journal
	orders  int
}

// streamStore is the store of one order.
type streamStore struct {
	*streamStores
	order messages.OrderID
}

func newStreamStores(t *testing.T) *streamStores {
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
		t.Fatal("the server does not become ready")
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
	return &streamStores{journal: j}
}

// next is the store of a new order.
func (k *streamStores) next() store {
	k.orders++
	return &streamStore{k, messages.OrderID(fmt.Sprintf("o-%d", k.orders))}
}

func (k *streamStore) id() messages.OrderID { return k.order }

func (k *streamStore) append(a *journal.Append) (sequence uint64, err error) {
	done := make(chan struct{})
	a.Done = func(_ *journal.Append, seq uint64, failure error) {
		sequence, err = seq, failure
		close(done)
	}
	k.journal.Append(a)
	<-done
	return sequence, err
}

func (k *streamStore) read() ([]journal.Entry, error) { return k.ask(k.journal.Read) }

func (k *streamStore) history() ([]journal.Entry, error) { return k.ask(k.journal.History) }

func (k *streamStore) ask(read func(context.Context, messages.OrderID) ([]journal.Entry, error)) ([]journal.Entry, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return read(ctx, k.order)
}
