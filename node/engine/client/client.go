// Package client publishes orders and messages about them, and reads and follows orders, for programs in Go.
package client

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
	"github.com/orderly-engine/orderly/node/engine"
	"github.com/orderly-engine/orderly/node/timeline"
)

// ErrUnknownOrder is wrapped by errors about an order that does not exist: the journal has no entry of it, and no stored
// message creates it.
var ErrUnknownOrder = errors.New("unknown order")

// Client uses the streams of the nodes on one NATS. It is safe for concurrent use.
//
// After an error a message may be stored or not; each may be published again.
type Client struct {
	js        jetstream.JetStream
	publisher *ingress.Publisher
	journal   *journal.Journal
	lookup    *ingress.Lookup
}

// New returns a client on the connection, which stays the caller's. The streams exist once an engine has started. Close the
// client after use.
func New(nc *nats.Conn) (*Client, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("new client: %w", err)
	}
	return NewOn(js)
}

// NewOn is New for streams in another JetStream domain, or behind an API prefix.
func NewOn(js jetstream.JetStream) (*Client, error) {
	j, err := journal.New(js, journal.Config{})
	if err != nil {
		return nil, fmt.Errorf("new client: %w", err)
	}
	publisher, err := ingress.NewPublisher(js.Conn(), ingress.PublisherConfig{})
	if err != nil {
		j.Close()
		return nil, fmt.Errorf("new client: %w", err)
	}
	return &Client{js: js, publisher: publisher, journal: j, lookup: ingress.NewLookup(js)}, nil
}

// Close stops the client's goroutines.
func (c *Client) Close() {
	c.publisher.Close()
	c.journal.Close()
}

// Create publishes an order. The same order may be published again at any time; another one under its id becomes a dead
// letter.
func (c *Client) Create(ctx context.Context, o engine.Order) error {
	return c.publish(ctx, o.ID, o.Message())
}

// Cancel undoes the steps that are done, unless the last step is done.
func (c *Client) Cancel(ctx context.Context, id, reason string) error {
	return c.publish(ctx, id, &messages.CancelOrder{Reason: reason})
}

// Signal completes the step that waits for a signal of that name. Its result is data, any value that encoding/json can
// write, or nil.
func (c *Client) Signal(ctx context.Context, id, name string, data any) error {
	text, err := messages.NewJSON(data)
	if err != nil {
		return fmt.Errorf("signal %s of order %s: %w", name, id, err)
	}
	return c.publish(ctx, id, &messages.SignalOrder{Name: name, Data: text})
}

// Retry attempts the step that needs attention again, with all its attempts.
func (c *Client) Retry(ctx context.Context, id string) error {
	return c.publish(ctx, id, &messages.RetryOrder{})
}

// Skip skips the step that needs attention, or its undo, if it is the one named.
func (c *Client) Skip(ctx context.Context, id, step string, undo bool) error {
	m := &messages.SkipStep{Step: step, Direction: messages.Do.Label()}
	if undo {
		m.Direction = messages.Undo.Label()
	}
	return c.publish(ctx, id, m)
}

func (c *Client) publish(ctx context.Context, id string, message proto.Message) error {
	return c.PublishMessage(ctx, ingress.Outgoing{OrderID: messages.OrderID(id), Body: message})
}

// PublishMessage publishes any message about an order, with its headers, such as the caller's trace context, and
// returns nil once it is stored.
func (c *Client) PublishMessage(ctx context.Context, m ingress.Outgoing) error {
	stored := make(chan error, 1)
	if err := c.publisher.Publish(ctx, m, func(_ ingress.PubAck, err error) { stored <- err }); err != nil {
		return err
	}
	select {
	case err := <-stored:
		return err
	case <-ctx.Done():
		return fmt.Errorf("publish order %s: not acknowledged yet: %w", m.OrderID, ctx.Err())
	}
}

// Order returns an order's state and events. The error wraps ErrUnknownOrder if the order does not exist, and
// *timeline.PendingMessages as well if messages about it are stored.
func (c *Client) Order(ctx context.Context, id string) (*timeline.View, error) {
	order := messages.OrderID(id)
	entries, err := c.journal.History(ctx, order)
	if err != nil {
		return nil, err
	}
	if len(entries) > 0 {
		return timeline.New(entries)
	}
	inbox, err := c.readInbox(ctx, order)
	if err != nil {
		return nil, err
	}
	if !inbox.created.IsZero() {
		return timeline.NewReceived(order, inbox.created), nil
	}
	// A message leaves the inbox after its order is journaled: the order may have been accepted between the two reads.
	if entries, err = c.journal.History(ctx, order); err != nil {
		return nil, err
	}
	if len(entries) > 0 {
		return timeline.New(entries)
	}
	return nil, inbox.unknown(order)
}

// Follow calls yield with the events of each journal entry, past and future, and returns nil once the order has ended,
// else the error of yield or of ctx. An order in attention has not ended.
func (c *Client) Follow(ctx context.Context, id string, yield func([]timeline.Event) error) error {
	return c.FollowFrom(ctx, id, 0, yield)
}
