// Package delivery holds what ingress, supervision and the order actors hand each other: a delivery on its way in, its outcome
// on the way back, and a failure with the directive that answers it.
package delivery

import (
	"time"

	"github.com/orderly-engine/orderly/messages"
)

// Delivery is one JetStream delivery of a message or wake-up, in the hands of this node and not yet settled.
// Exactly one of the body fields is set, as Type says.
type Delivery struct {
	OrderID messages.OrderID
	Type    messages.Type

	// Stream and Sequence name the stored message.
	Stream   string
	Sequence uint64
	// Deliveries counts the deliveries of the message, this one included.
	Deliveries uint64
	// Stored is when the stream took the message in, by the server's clock.
	Stored time.Time
	// Received is when this node took the delivery in.
	Received time.Time
	// Incarnation is fresh for every delivery and never a node's name (R0).
	Incarnation string
	// Traceparent and Tracestate are the publisher's W3C trace context, or empty.
	Traceparent, Tracestate string

	Created *messages.OrderCreated
	// Invalid says why Created cannot be carried out; the order is accepted and rejected with it.
	Invalid error
	Cancel  *messages.CancelOrder
	Signal  *messages.SignalOrder
	Skip    *messages.SkipStep
	// Park is the journal sequence of the OrderParked a wake-up belongs to.
	Park uint64
	// Snapshot is what the timer of a wake-up carried.
	Snapshot []byte

	// Begun: an order actor has taken the delivery up, so that the journal may know of it even when it is the first.
	// It belongs to the actor that holds the delivery; all else is read-only once handed on.
	Started bool

	Settler
}

// Fresh reports whether nobody can have acted on the message yet.
func (d *Delivery) Fresh() bool { return d.Deliveries <= 1 && !d.Started }

// Source names the stored message in events.
func (d *Delivery) Source() *messages.Source {
	return &messages.Source{Stream: d.Stream, Sequence: d.Sequence}
}

// Settler ends a delivery. Only the first call has an effect; it neither blocks nor fails.
type Settler interface {
	Settle(Outcome)
}

// Settled is an order actor's answer to its supervisor: the delivery ends with the outcome.
type Settled struct {
	Delivery *Delivery
	Outcome  Outcome
}
