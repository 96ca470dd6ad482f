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

// maxLooked bounds the messages about one order that are looked at, each in a request of its own. An order that more
// messages have come before counts as unknown until it is accepted.
const maxLooked = 16

// waiting is what the inbox stores about an order.
type waiting struct {
	// created is when the message that creates the order was stored, zero when none was found. The messages before it, or
	// all of them, are others.
	created time.Time
	others  int
}

// lookInbox asks the leader, in the order in which the messages were stored.
func (r *Reader) lookInbox(ctx context.Context, id messages.OrderID) (w waiting, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("look for order %s in the inbox: %w", id, err)
		}
	}()
	inbox, err := r.js.Stream(ctx, messages.StreamOrders)
	if err != nil {
		return w, err
	}
	for from := uint64(1); w.others < maxLooked; w.others++ {
		m, err := inbox.GetMsg(ctx, from, jetstream.WithGetMsgSubject(messages.SubjectOrder+string(id)))
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			return w, nil
		case errors.Is(err, nats.ErrBadHeaderMsg):
			// Nobody can say what it is, and a node makes a dead letter of it.
			m, found, err := r.lookup.FirstStored(ctx, id, from)
			if err != nil || !found {
				return w, err
			}
			from = m.Sequence + 1
		case err != nil:
			return w, err
		case creates(m.Header):
			w.created = m.Time
			return w, nil
		default:
			from = m.Sequence + 1
		}
	}
	return w, nil
}

// creates reports whether a message with these headers is to create its order.
func creates(h nats.Header) bool {
	kind := messages.Type(h.Get(messages.HeaderType))
	return kind == "" || kind == messages.TypeCreated
}

// unknown is the error of an order that does not exist, with what waits for it.
func (w waiting) unknown(id messages.OrderID) error {
	if w.others == 0 {
		return fmt.Errorf("%w: %s", ErrUnknownOrder, id)
	}
	return fmt.Errorf("%w: %s: %w", ErrUnknownOrder, id, &timeline.PendingMessages{Messages: w.others, More: w.others == maxLooked})
}
