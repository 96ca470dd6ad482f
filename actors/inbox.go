package actors

import (
	"context"
	"fmt"
	"time"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// search is what was found in the inbox around a delivery.
type search struct {
	predecessors order.Predecessors
	// searchedAt is when the search for predecessors began.
	searchedAt time.Time
	// noCreatedUpTo: there is no created message from the delivery's up to this sequence.
	noCreatedUpTo uint64
	// stored is what the inbox stores about a new order; nil: it has not been read.
	stored []*delivery.Delivery
}

// maxSearches bounds the searches of the inbox for messages about orders that do not exist. Each must be answered while there
// certainly is no other delivery of its message, and many become too old at once.
const maxSearches = 64

// readInbox reads what the inbox stores about a new order, to be recorded with its acceptance (R2).
func (o *Order) readInbox(id messages.OrderID) {
	pipeToSelf(o, func(ctx context.Context) ([]*delivery.Delivery, error) {
		return o.Inbox.Stored(ctx, id)
	}, (*Order).decideWithInbox)
}

func (o *Order) decideWithInbox(stored []*delivery.Delivery, err error) {
	if err != nil {
		o.fail(fmt.Errorf("read the inbox: %w", err))
	}
	// No order: the fence of the acceptance refuses it if there is one by now.
	o.search, o.current = &search{stored: stored}, true
}

// checkPredecessors finds out whether an earlier message of the order is stored and not recorded (R3.5); and if there is no
// order and the message is too old, whether a later one creates it (R3.6).
func (o *Order) checkPredecessors(d *delivery.Delivery) {
	state, s := o.state, &search{searchedAt: o.cfg.Now(), noCreatedUpTo: o.noCreatedUpTo}
	unknown := state.Status == order.None
	if unknown {
		o.searches.Add(1)
	}
	pipeToSelf(o, func(ctx context.Context) (*search, error) {
		if unknown {
			defer o.searches.Add(-1)
		}
		return s, o.searchInbox(ctx, state, d, s)
	}, (*Order).decideWith)
}

func (f *Factory) searchInbox(ctx context.Context, state *order.State, d *delivery.Delivery, s *search) error {
	pending, err := f.pendingPredecessor(ctx, state, d)
	if err != nil {
		return fmt.Errorf("look for earlier messages: %w", err)
	}
	s.predecessors = order.PredecessorsNone
	switch {
	case pending:
		s.predecessors = order.PredecessorsPending
	case state.Status == order.None && order.Expired(d, s.searchedAt, f.cfg.UnknownAge):
		s.noCreatedUpTo = max(s.noCreatedUpTo, d.Sequence)
		follows, err := f.createdFollows(ctx, d.OrderID, &s.noCreatedUpTo)
		if err != nil {
			return fmt.Errorf("look for the created message: %w", err)
		}
		if follows {
			s.predecessors = order.PredecessorsNoneCreatedFollows
		}
	}
	return nil
}

// pendingPredecessor reports whether the inbox holds a message of the order before d that is not recorded.
func (f *Factory) pendingPredecessor(ctx context.Context, state *order.State, d *delivery.Delivery) (bool, error) {
	for from := state.Watermark + 1; from < d.Sequence; {
		m, found, err := f.Inbox.FirstStored(ctx, d.OrderID, from)
		if err != nil || !found || m.Sequence >= d.Sequence {
			return false, err
		}
		// A created message has no effect on an order that exists, whether it is settled or not.
		if m.Type != messages.TypeCreated || state.Status == order.None {
			return true, nil
		}
		from = m.Sequence + 1
	}
	return false, nil
}

// maxFollowers bounds the messages after one that is too old, among which its created message is searched for. It is more
// than Inbox.Stored returns.
const maxFollowers = 1000

// createdFollows reports whether a created message of the order is among the messages in the inbox after sequence upTo. It
// moves upTo to the last one before that: each is read once for all messages that wait in this actor.
func (f *Factory) createdFollows(ctx context.Context, id messages.OrderID, upTo *uint64) (bool, error) {
	for range maxFollowers {
		m, found, err := f.Inbox.FirstStored(ctx, id, *upTo+1)
		if err != nil || !found || m.Type == messages.TypeCreated {
			return found && err == nil, err
		}
		*upTo = m.Sequence
	}
	return false, nil
}

// decideWith stores what the search found. If there is no order, the journal is read again: one may have been accepted since
// (R3.6).
func (o *Order) decideWith(s *search, err error) {
	if err != nil {
		o.fail(err)
	}
	o.search, o.noCreatedUpTo = s, s.noCreatedUpTo
	o.current = s.predecessors == order.PredecessorsPending || o.state.Status != order.None
}
