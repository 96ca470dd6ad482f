package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/timeline"
)

// ErrNeedsAttention is wrapped by the error of Wait when a person must decide how the order continues.
var ErrNeedsAttention = errors.New("order needs attention")

// decisionInterval is how often Wait looks whether a stored message has ended an order's attention.
const decisionInterval = 100 * time.Millisecond

// Wait returns an order once it has ended, or needs attention and no message about it is stored that may end that. The error
// wraps ErrNeedsAttention in the second case, ErrUnknownOrder if the order does not exist, or ctx's error.
func (c *Client) Wait(ctx context.Context, id string) (*timeline.View, error) {
	err := c.Follow(ctx, id, func(events []timeline.Event) error {
		if slices.ContainsFunc(events, func(e timeline.Event) bool { return e.Kind == kindAttention }) {
			return c.decided(ctx, id)
		}
		return nil
	})
	if err != nil && !errors.Is(err, ErrNeedsAttention) {
		return nil, err
	}
	view, readErr := c.Order(ctx, id)
	if readErr != nil {
		return nil, readErr
	}
	return view, err
}

// kindAttention is the kind of the event that puts an order in attention.
const kindAttention = "attention"

// decided returns nil once the order is not in attention, and an error that wraps ErrNeedsAttention when it is and no message
// about it is stored.
func (c *Client) decided(ctx context.Context, id string) error {
	tick := time.NewTicker(decisionInterval)
	defer tick.Stop()
	for {
		// The inbox is read first: a message leaves it after its effect is journaled.
		inbox, err := c.readInbox(ctx, messages.OrderID(id))
		if err != nil {
			return err
		}
		view, err := c.Order(ctx, id)
		switch {
		case err != nil:
			return err
		case view.Status != order.Attention.String():
			return nil
		case inbox.created.IsZero() && inbox.others == 0:
			return fmt.Errorf("%w: %s: %s", ErrNeedsAttention, id, view.Reason)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
