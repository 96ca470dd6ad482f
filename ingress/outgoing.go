package ingress

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
)

// Outgoing is a message about an order, to be published.
type Outgoing struct {
	OrderID messages.OrderID
	// Type defaults to that of the body.
	Type messages.Type
	// Body is an OrderCreated, CancelOrder, SignalOrder, RetryOrder or SkipStep.
	Body proto.Message
	// ID is the message id: a stream that stored a message of the same id within the last two minutes does not store this one.
	// If empty, a created message has the order's id, and is stored again if that is a duplicate; others have none.
	ID string
	// Traceparent and Tracestate are the W3C trace context, or empty.
	Traceparent, Tracestate string
}

var errUnknownBody = errors.New("want an OrderCreated, CancelOrder, SignalOrder, RetryOrder or SkipStep as the body")

// encode makes the message that is published.
func (o Outgoing) encode() (*nats.Msg, error) {
	if _, err := messages.ParseOrderID(string(o.OrderID)); err != nil {
		return nil, err
	}
	kind := o.Type
	if kind == "" {
		kind = bodyType(o.Body)
	}
	if kind == "" || kind != bodyType(o.Body) {
		return nil, fmt.Errorf("%s with a body of %T: %w", kind, o.Body, errUnknownBody)
	}
	body, err := proto.Marshal(o.Body)
	if err != nil {
		return nil, err
	}
	if len(body) > messages.MaxBody {
		return nil, fmt.Errorf("the body has %d bytes: want at most %d", len(body), messages.MaxBody)
	}
	if kind == messages.TypeSignal {
		if err := checkSignal(body); err != nil {
			return nil, err
		}
	}
	m := &nats.Msg{Subject: messages.SubjectOrder + string(o.OrderID), Data: body, Header: make(nats.Header, 5)}
	m.Header[messages.HeaderType] = []string{string(kind)}
	m.Header[messages.HeaderContentType] = []string{contentTypeProtobuf}
	switch {
	case o.ID != "":
		m.Header[nats.MsgIdHdr] = []string{o.ID}
	case kind == messages.TypeCreated:
		m.Header[nats.MsgIdHdr] = []string{string(o.OrderID)}
	}
	if o.Traceparent != "" {
		m.Header[messages.HeaderTraceparent] = []string{o.Traceparent}
	}
	if o.Tracestate != "" {
		m.Header[messages.HeaderTracestate] = []string{o.Tracestate}
	}
	return m, nil
}

const contentTypeProtobuf = "application/protobuf"

// CheckSignal returns an error if nodes would dead-letter the signal. The error wraps messages.ErrBody.
func CheckSignal(s *messages.SignalOrder) error {
	body, err := proto.Marshal(s)
	if err != nil {
		return fmt.Errorf("%w of a signal: %w", messages.ErrBody, err)
	}
	return checkSignal(body)
}

func checkSignal(body []byte) error {
	if _, err := messages.DecodeSignal(contentTypeProtobuf, body); err != nil {
		return fmt.Errorf("nodes refuse this signal: %w", err)
	}
	return nil
}

func bodyType(body proto.Message) messages.Type {
	switch body.(type) {
	case *messages.OrderCreated:
		return messages.TypeCreated
	case *messages.CancelOrder:
		return messages.TypeCancel
	case *messages.SignalOrder:
		return messages.TypeSignal
	case *messages.RetryOrder:
		return messages.TypeRetry
	case *messages.SkipStep:
		return messages.TypeSkip
	}
	return ""
}
