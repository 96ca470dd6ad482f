package ingress

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

// Bounds of Lookup.Stored, so that all of it fits into one journal entry.
const (
	maxStored      = 64
	maxStoredBytes = 64 << 10
)

// Stored returns the first maxStored messages about the order that the inbox stores, oldest first, as long as their bodies have
// at most maxStoredBytes. Those that create the order have no body, and do not count. Messages that cannot be decoded, which become
// dead letters, are left out. The result is not nil unless err is set. It is empty if no order has more than one message in the
// inbox.
func (l *Lookup) Stored(ctx context.Context, id messages.OrderID) ([]*delivery.Delivery, error) {
	stored := []*delivery.Delivery{}
	// One request for all orders that ask at the same time: a long backlog is mostly of orders that are alone.
	if several, err := l.several.check(ctx, l.severalOfOneOrder); err != nil || !several {
		return stored, err
	}
	size := 0
	from := uint64(1)
	for range maxStored {
		m, err := l.get(ctx, messages.StreamOrders, natsclient.Get{Sequence: from, NextBySubject: messages.SubjectOrder + string(id)})
		if err != nil {
			return nil, err
		}
		if m == nil {
			break
		}
		from = m.Sequence + 1
		d, ok := decodeStored(m)
		if !ok {
			continue
		}
		if d.Type != messages.TypeCreated {
			if size += len(m.Data); size > maxStoredBytes {
				break
			}
		}
		stored = append(stored, d)
	}
	return stored, nil
}

// severalOfOneOrder reports whether the inbox stores more than one message about any order, settled or not.
func (l *Lookup) severalOfOneOrder(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	inbox, err := l.js.Stream(ctx, messages.StreamOrders)
	if err != nil {
		return false, fmt.Errorf("read the state of stream %s: %w", messages.StreamOrders, err)
	}
	s := inbox.CachedInfo().State
	return s.Msgs > s.NumSubjects, nil
}

// decodeStored decodes a stored message, without the body if that creates an order.
func decodeStored(m *natsclient.StoredMsg) (*delivery.Delivery, bool) {
	header, err := decodeHeaders(m.Header)
	if err != nil {
		return nil, false
	}
	d := &delivery.Delivery{Stream: messages.StreamOrders, Sequence: m.Sequence, Stored: m.Time}
	if kind := typeOfHeader(headerValue(header, messages.HeaderType)); kind == messages.TypeCreated {
		d.Type = kind
		return d, true
	}
	rejected := decode(d, &nats.Msg{Subject: m.Subject, Header: header, Data: m.Data})
	return d, rejected.reason == ""
}
