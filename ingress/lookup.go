package ingress

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

// requestTimeout bounds one request to the server.
const requestTimeout = 5 * time.Second

// Lookup reads stored messages from the streams' leaders, never from a replica that may lag.
type Lookup struct {
	js      jetstream.JetStream
	api     natsclient.API
	several sharedCheck
}

// NewLookup reads through the connection of js, with its API prefix or domain.
func NewLookup(js jetstream.JetStream) *Lookup { return &Lookup{js: js, api: natsclient.NewAPI(js)} }

// FirstStored finds the first message about the order that the inbox stores at or after sequence from. It may be settled.
// Its type is empty if its headers are unreadable.
func (l *Lookup) FirstStored(ctx context.Context, id messages.OrderID, from uint64) (stored messages.StoredMessage, found bool, err error) {
	m, err := l.get(ctx, messages.StreamOrders, natsclient.Get{Sequence: max(from, 1), NextBySubject: messages.SubjectOrder + string(id)})
	if err != nil || m == nil {
		return messages.StoredMessage{}, false, err
	}
	stored.Sequence = m.Sequence
	if header, err := decodeHeaders(m.Header); err == nil {
		stored.Type = typeOfHeader(headerValue(header, messages.HeaderType))
	}
	return stored, true, nil
}

// get returns the message, or nil if it is not stored.
func (l *Lookup) get(ctx context.Context, stream string, get natsclient.Get) (*natsclient.StoredMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	m, err := l.api.GetFromLeader(ctx, stream, get)
	if err != nil {
		return nil, fmt.Errorf("read a message of stream %s: %w", stream, err)
	}
	return m, nil
}

// decodeHeaders decodes a stored block of headers, which is empty if the message has none.
func decodeHeaders(block []byte) (nats.Header, error) {
	if len(block) == 0 {
		return nil, nil
	}
	return nats.DecodeHeadersMsg(block)
}

// parkOf returns the park that a stored timer belongs to, or 0 if it names none.
func parkOf(timer *natsclient.StoredMsg) uint64 {
	header, err := decodeHeaders(timer.Header)
	if err != nil {
		return 0
	}
	park, err := strconv.ParseUint(headerValue(header, messages.HeaderPark), 10, 64)
	if err != nil {
		return 0
	}
	return park
}
