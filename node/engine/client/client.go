// Package client hands orders in and follows them, for programs in Go.
package client

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/timeline"
)

// Client talks to the streams of the nodes on one NATS. It is safe for concurrent use.
type Client struct {
	publisher *ingress.Publisher
	reader    *Reader
}

// New makes a client on the connection, which stays the caller's. The streams are there once a node has started. Close it
// in the end.
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

// Close ends what the client needs.
func (c *Client) Close() {
	c.publisher.Close()
	c.reader.Close()
}

// Publish stores a message about an order in the inbox: an OrderCreated, CancelOrder, SignalOrder, RetryOrder or SkipStep.
// After an error it may be stored or not; created may be published again at any time. Another order under an id that is
// taken is stored as well, and becomes a dead letter.
func (c *Client) Publish(ctx context.Context, id messages.OrderID, message proto.Message) error {
	stored := make(chan error, 1)
	err := c.publisher.Publish(ctx, ingress.Outgoing{OrderID: id, Body: message}, func(_ ingress.PubAck, err error) { stored <- err })
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

// Order tells an order's state and story; the error wraps ErrUnknownOrder when nothing is stored about it.
func (c *Client) Order(ctx context.Context, id messages.OrderID) (*timeline.View, error) {
	return c.reader.Order(ctx, id)
}

// Follow calls yield with the events of each journal entry, those of the past and those to come, and returns nil once the
// order has ended, else yield's error or the context's. An order in attention has not ended.
func (c *Client) Follow(ctx context.Context, id messages.OrderID, yield func([]timeline.Event) error) error {
	return c.reader.Follow(ctx, id, 0, yield)
}

// Wait returns an order once it has ended. The error wraps ErrUnknownOrder when nothing is stored about it, and the
// context's when that ends first.
func (c *Client) Wait(ctx context.Context, id messages.OrderID) (*timeline.View, error) {
	if err := c.Follow(ctx, id, func([]timeline.Event) error { return nil }); err != nil {
		return nil, err
	}
	return c.Order(ctx, id)
}
