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

// ErrUnknownOrder says that an order does not exist: the journal has nothing about it, and nothing stored creates it.
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

// Order tells an order's state and story; the error wraps ErrUnknownOrder when it does not exist, and a
// *timeline.Awaited with it when messages about it wait for it.
func (o *Orders) Order(ctx context.Context, id messages.OrderID) (*timeline.View, error) {
	entries, err := o.journal.History(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(entries) > 0 {
		return timeline.Of(entries)
	}
	inbox, err := o.lookInbox(ctx, id)
	if err != nil {
		return nil, err
	}
	if !inbox.created.IsZero() {
		return timeline.OfReceived(id, inbox.created), nil
	}
	// The inbox forgets an order once the journal has it: between the two questions it may have moved.
	if entries, err = o.journal.History(ctx, id); err != nil {
		return nil, err
	}
	if len(entries) > 0 {
		return timeline.Of(entries)
	}
	return nil, inbox.unknown(id)
}
