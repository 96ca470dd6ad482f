package client

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

// Reader reads orders from the journal and the inbox. It is safe for concurrent use.
type Reader struct {
	js      jetstream.JetStream
	journal *journal.Journal
	lookup  *ingress.Lookup
}

// NewReader reads through the connection, which stays the caller's. Close the Reader after use.
func NewReader(nc *nats.Conn) (*Reader, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("read orders: %w", err)
	}
	j, err := journal.New(js, journal.Config{})
	if err != nil {
		return nil, fmt.Errorf("read orders: %w", err)
	}
	return &Reader{js: js, journal: j, lookup: ingress.NewLookup(js)}, nil
}

// Close ends what reading needs.
func (r *Reader) Close() { r.journal.Close() }

// Order tells an order's state and story; the error wraps ErrUnknownOrder when it does not exist, and a
// *timeline.PendingMessages as well when messages about it are stored.
func (r *Reader) Order(ctx context.Context, id messages.OrderID) (*timeline.View, error) {
	entries, err := r.journal.History(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(entries) > 0 {
		return timeline.New(entries)
	}
	inbox, err := r.lookInbox(ctx, id)
	if err != nil {
		return nil, err
	}
	if !inbox.created.IsZero() {
		return timeline.NewReceived(id, inbox.created), nil
	}
	// The inbox forgets an order once the journal has it: between the two questions it may have moved.
	if entries, err = r.journal.History(ctx, id); err != nil {
		return nil, err
	}
	if len(entries) > 0 {
		return timeline.New(entries)
	}
	return nil, inbox.unknown(id)
}
