package actors_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
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
	js := natstest.Start(t).JetStream()
	if _, err := js.CreateStream(natstest.Context(t), jetstream.StreamConfig{
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

func (k *streamStore) read() (entries []journal.Entry, fence uint64, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return k.journal.Read(ctx, k.order)
}

func (k *streamStore) history() ([]journal.Entry, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return k.journal.History(ctx, k.order)
}
