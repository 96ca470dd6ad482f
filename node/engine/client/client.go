// Package client publishes orders and messages about them, and follows orders, for programs in Go.
package client

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/engine"
	"github.com/orderly-engine/orderly/node/timeline"
)

// Client talks to the streams of the nodes on one NATS. It is safe for concurrent use.
//
// After an error a message may be stored or not; each may be published again.
type Client struct {
	publisher *ingress.Publisher
	reader    *Reader
}

// New makes a client on the connection, which stays the caller's. The streams exist once an engine has started. Close the
// client when it is no longer used.
func New(nc *nats.Conn) (*Client, error) {
	orders, err := NewReader(nc)
	if err != nil {
		return nil, err
	}
	publisher, err := ingress.NewPublisher(nc, ingress.PublisherConfig{})
	if err != nil {
		orders.Close()
		return nil, err
	}
	return &Client{publisher: publisher, reader: orders}, nil
}

// Close stops the client's goroutines.
func (c *Client) Close() {
	c.publisher.Close()
	c.reader.Close()
}

// Create publishes an order. The same order may be published again at any time; another one under its id becomes a dead
// letter.
func (c *Client) Create(ctx context.Context, o engine.Order) error {
	return c.publish(ctx, o.ID, o.Message())
}

// Cancel has what was done for the order undone, unless its last step is done.
func (c *Client) Cancel(ctx context.Context, id, reason string) error {
	return c.publish(ctx, id, &messages.CancelOrder{Reason: reason})
}

// Signal completes the step that waits for a signal of that name. Its result is data, any value that encoding/json can
// write, or nil.
func (c *Client) Signal(ctx context.Context, id, name string, data any) error {
	value, err := messages.NewValue(data)
	if err != nil {
		return fmt.Errorf("signal %s of order %s: %w", name, id, err)
	}
	return c.publish(ctx, id, &messages.SignalOrder{Name: name, Data: value})
}

// Retry attempts the step that needs attention again, with all its attempts.
func (c *Client) Retry(ctx context.Context, id string) error {
	return c.publish(ctx, id, &messages.RetryOrder{})
}

// Skip passes over the step that needs attention, or its undo, if it is the one named.
func (c *Client) Skip(ctx context.Context, id, step string, undo bool) error {
	m := &messages.SkipStep{Step: step, Direction: messages.Do.Label()}
	if undo {
		m.Direction = messages.Undo.Label()
	}
	return c.publish(ctx, id, m)
}

func (c *Client) publish(ctx context.Context, id string, message proto.Message) error {
	stored := make(chan error, 1)
	err := c.publisher.Publish(ctx, ingress.Outgoing{OrderID: messages.OrderID(id), Body: message}, func(_ ingress.PubAck, err error) { stored <- err })
	if err != nil {
		return err
	}
	select {
	case err := <-stored:
		return err
	case <-ctx.Done():
		return fmt.Errorf("publish order %s: not acknowledged yet: %w", id, ctx.Err())
	}
}

// Order returns an order's state and history. The error wraps ErrUnknownOrder when nothing is stored about it.
func (c *Client) Order(ctx context.Context, id string) (*timeline.View, error) {
	return c.reader.Order(ctx, messages.OrderID(id))
}

// Follow calls yield with the events of each journal entry, past and future, and returns nil once the order has ended,
// else yield's error or the context's. An order in attention has not ended.
func (c *Client) Follow(ctx context.Context, id string, yield func([]timeline.Event) error) error {
	return c.reader.Follow(ctx, messages.OrderID(id), 0, yield)
}

// Wait returns an order once it has ended. The error wraps ErrUnknownOrder when nothing is stored about it, and the
// context's when that ends first.
func (c *Client) Wait(ctx context.Context, id string) (*timeline.View, error) {
	if err := c.Follow(ctx, id, func([]timeline.Event) error { return nil }); err != nil {
		return nil, err
	}
	return c.Order(ctx, id)
}
