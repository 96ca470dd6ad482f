// Package history reads and follows the orders of the journal, for those who ask about them.
package history

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/timeline"
)

// ErrUnknownOrder says that nothing is stored about an order.
var ErrUnknownOrder = errors.New("unknown order")

// Received is the status of an order that waits in the inbox and is not accepted yet.
const Received = "received"

// Orders reads orders. It is safe for concurrent use.
type Orders struct {
	js      jetstream.JetStream
	journal *journal.Journal
	lookup  *ingress.Lookup
}

// New reads through the connection, which stays the caller's. Close it in the end.
func New(nc *nats.Conn) (*Orders, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("read orders: %w", err)
	}
	j, err := journal.New(nc, journal.Config{})
	if err != nil {
		return nil, fmt.Errorf("read orders: %w", err)
	}
	return &Orders{js: js, journal: j, lookup: ingress.NewLookup(js)}, nil
}

// Close ends what reading needs.
func (o *Orders) Close() { o.journal.Close() }

// Order tells an order's state and story; the error wraps ErrUnknownOrder when nothing is stored about it.
func (o *Orders) Order(ctx context.Context, id messages.OrderID) (*timeline.View, error) {
	entries, err := o.journal.Read(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(entries) > 0 {
		return timeline.Of(entries)
	}
	_, found, err := o.lookup.FirstStored(ctx, id, 1)
	if err != nil {
		return nil, fmt.Errorf("look for order %s in the inbox: %w", id, err)
	}
	if !found {
		return nil, fmt.Errorf("%w: %s", ErrUnknownOrder, id)
	}
	return &timeline.View{OrderID: string(id), Status: Received, Events: []timeline.Event{}}, nil
}

// Follow calls yield with the events of each journal entry after the one stored at sequence after, oldest first, those
// of the past and those to come. It returns nil once the order has ended and all is told, else yield's error or the
// context's; the error wraps ErrUnknownOrder when nothing is stored about the order.
func (o *Orders) Follow(ctx context.Context, id messages.OrderID, after uint64, yield func([]timeline.Event) error) error {
	if _, err := o.Order(ctx, id); err != nil {
		return err
	}
	consumer, err := o.js.OrderedConsumer(ctx, messages.StreamEvents, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{messages.SubjectEvent + string(id)},
	})
	if err != nil {
		return fmt.Errorf("follow order %s: %w", id, err)
	}
	feed, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("follow order %s: %w", id, err)
	}
	defer feed.Stop()
	for {
		m, err := feed.Next(jetstream.NextContext(ctx))
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("follow order %s: %w", id, err)
		}
		ended, err := tell(m, after, yield)
		if err != nil || ended {
			return err
		}
	}
}

// tell hands one entry on, unless it is not after the given sequence, and reports whether it ends the order.
func tell(m jetstream.Msg, after uint64, yield func([]timeline.Event) error) (ended bool, err error) {
	meta, err := m.Metadata()
	if err != nil {
		return false, err
	}
	entry := &messages.JournalEntry{}
	if err := proto.Unmarshal(m.Data(), entry); err != nil {
		return false, fmt.Errorf("entry at sequence %d cannot be read: %w", meta.Sequence.Stream, err)
	}
	events := timeline.Events(journal.Entry{Sequence: meta.Sequence.Stream, Time: meta.Timestamp, Entry: entry})
	if len(events) > 0 {
		ended = timeline.Ends(events[len(events)-1].Kind)
	}
	if meta.Sequence.Stream > after {
		err = yield(events)
	}
	return ended, err
}
