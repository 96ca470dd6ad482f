package journal_test

import (
	"context"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// kept is one message of the stream, read without the journal.
type kept struct {
	seq    uint64
	number uint32
	batch  string
}

// history reads the whole stream without the journal, by order. In a cluster, the consumer it reads with may lose its
// leader at any time: the client library then creates another one that continues after the last message.
func history(tb testing.TB, js jetstream.JetStream) map[messages.OrderID][]kept {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*natstest.Patience)
	defer cancel()
	s, err := js.Stream(ctx, messages.StreamEvents)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		tb.Fatal(err)
	}
	feed, err := c.Messages()
	if err != nil {
		tb.Fatal(err)
	}
	defer feed.Stop()
	orders := map[messages.OrderID][]kept{}
	for range s.CachedInfo().State.Msgs {
		m, err := feed.Next(jetstream.NextContext(ctx))
		if err != nil {
			tb.Fatal(err)
		}
		meta, err := m.Metadata()
		if err != nil {
			tb.Fatal(err)
		}
		var e messages.JournalEntry
		if err := proto.Unmarshal(m.Data(), &e); err != nil {
			tb.Fatal(err)
		}
		id := messages.OrderID(strings.TrimPrefix(m.Subject(), messages.SubjectEvent))
		if e.GetOrderId() != string(id) {
			tb.Fatalf("an entry of order %s is stored on %s", e.GetOrderId(), m.Subject())
		}
		orders[id] = append(orders[id], kept{meta.Sequence.Stream, e.GetNumber(), m.Headers().Get("Nats-Batch-Id")})
	}
	return orders
}

// unbroken checks that each order's entries are numbered 1, 2, 3 …
func unbroken(tb testing.TB, orders map[messages.OrderID][]kept) {
	tb.Helper()
	for id, entries := range orders {
		for i, e := range entries {
			if e.number != uint32(i+1) {
				tb.Errorf("order %s: entry %d is in place %d", id, e.number, i+1)
			}
		}
	}
}

func scan(tb testing.TB, js jetstream.JetStream) []journal.Entry {
	tb.Helper()
	var entries []journal.Entry
	ctx, cancel := context.WithTimeout(context.Background(), natstest.Patience)
	defer cancel()
	err := journal.Scan(ctx, js, func(e journal.Entry) error {
		entries = append(entries, e)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return entries
}
