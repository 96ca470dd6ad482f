// Package history reads and follows the orders of the journal, for those who ask about them.
package history

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/timeline"
)

// ErrUnknownOrder says that nothing is stored about an order.
var ErrUnknownOrder = errors.New("unknown order")

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
	entries, err := o.journal.History(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(entries) > 0 {
		return timeline.Of(entries)
	}
	stored, err := o.received(ctx, id)
	if err != nil {
		return nil, err
	}
	if stored {
		return timeline.OfReceived(id), nil
	}
	// The inbox forgets an order once the journal has it: between the two questions it may have moved.
	if entries, err = o.journal.History(ctx, id); err != nil {
		return nil, err
	}
	if len(entries) > 0 {
		return timeline.Of(entries)
	}
	return nil, fmt.Errorf("%w: %s", ErrUnknownOrder, id)
}

// received reports whether the inbox stores a message about the order.
func (o *Orders) received(ctx context.Context, id messages.OrderID) (bool, error) {
	_, found, err := o.lookup.FirstStored(ctx, id, 1)
	if err != nil {
		return false, fmt.Errorf("look for order %s in the inbox: %w", id, err)
	}
	return found, nil
}
