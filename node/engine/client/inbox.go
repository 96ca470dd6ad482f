package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/timeline"
)

// maxInboxReads bounds the messages about one order that are read, in one request each. An order whose created message
// follows more messages than that counts as unknown until it is accepted.
const maxInboxReads = 16

// inboxState is what the inbox stores about an order.
type inboxState struct {
	// created is when the message that creates the order was stored; zero: none was found.
	created time.Time
	// others counts the messages before it, or all of them.
	others int
}

// readInbox reads the messages about an order from the leader, in the order in which they were stored.
func (c *Client) readInbox(ctx context.Context, id messages.OrderID) (s inboxState, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("look for order %s in the inbox: %w", id, err)
		}
	}()
	inbox, err := c.js.Stream(ctx, messages.StreamOrders)
	if err != nil {
		return s, err
	}
	for from := uint64(1); s.others < maxInboxReads; s.others++ {
		m, err := inbox.GetMsg(ctx, from, jetstream.WithGetMsgSubject(messages.SubjectOrder+string(id)))
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			return s, nil
		case errors.Is(err, nats.ErrBadHeaderMsg):
			// nats.go cannot decode the headers; the node that receives the message makes it a dead letter.
			m, found, err := c.lookup.FirstStored(ctx, id, from)
			if err != nil || !found {
				return s, err
			}
			from = m.Sequence + 1
		case err != nil:
			return s, err
		case creates(m.Header):
			s.created = m.Time
			return s, nil
		default:
			from = m.Sequence + 1
		}
	}
	return s, nil
}

// creates reports whether a message with these headers creates its order.
func creates(h nats.Header) bool {
	kind := messages.Type(h.Get(messages.HeaderType))
	return kind == "" || kind == messages.TypeCreated
}

// unknown returns the error about an order that does not exist, with the messages about it that are stored.
func (s inboxState) unknown(id messages.OrderID) error {
	if s.others == 0 {
		return fmt.Errorf("%w: %s", ErrUnknownOrder, id)
	}
	return fmt.Errorf("%w: %s: %w", ErrUnknownOrder, id, &timeline.PendingMessages{Messages: s.others, More: s.others == maxInboxReads})
}
