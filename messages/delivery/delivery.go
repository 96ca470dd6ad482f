// Package delivery holds what ingress, supervision and the order actors pass to each other: a delivery, the outcome it is
// settled with, and failures.
package delivery

import (
	"strconv"
	"strings"
	"time"

	"github.com/orderly-engine/orderly/messages"
)

// Delivery is one JetStream delivery of a message or wake-up that this node holds and has not settled yet.
// Exactly one of the body fields is set, as Type says.
type Delivery struct {
	OrderID messages.OrderID
	Type    messages.Type

	// Stream and Sequence name the stored message.
	Stream   string
	Sequence uint64
	// Deliveries counts the deliveries of the message, this one included.
	Deliveries uint64
	// Stored is when the stream stored the message, by the server's clock.
	Stored time.Time
	// Received is when this node received the delivery.
	Received time.Time
	// Unreceivable is how long the message had been stored when this node began to receive messages of the stream, since
	// when it has without a break; 0: it was stored later.
	Unreceivable time.Duration
	// Incarnation is fresh for every delivery, and for every restart of the actor that holds it, and never a node's name (R0).
	Incarnation string
	// Traceparent and Tracestate are the publisher's W3C trace context, or empty.
	Traceparent, Tracestate string

	Created *messages.OrderCreated
	// Invalid is why Created is not a valid order; the order is accepted and rejected with it.
	Invalid error
	Cancel  *messages.CancelOrder
	Signal  *messages.SignalOrder
	Skip    *messages.SkipStep
	// Park is the journal sequence of the OrderParked a wake-up belongs to.
	Park uint64
	// Snapshot is the snapshot in the timer of a wake-up.
	Snapshot []byte

	// Started: an order actor has started to handle the delivery, so that the journal may hold something of it even if it is
	// the first. It and Incarnation belong to the actor that holds the delivery; the other fields are read-only.
	Started bool
	// renewed counts the calls of Renew.
	renewed int

	Settler
}

// Fresh reports whether no actor can have acted on the message yet.
func (d *Delivery) Fresh() bool { return d.Deliveries <= 1 && !d.Started }

// Renew gives the delivery another incarnation.
func (d *Delivery) Renew() {
	d.renewed++
	d.Incarnation = first(d.Incarnation) + "/" + strconv.Itoa(d.renewed)
}

// Renews reports whether the incarnation is another one of this delivery.
func (d *Delivery) Renews(incarnation string) bool {
	return incarnation != d.Incarnation && first(incarnation) == first(d.Incarnation)
}

// first is the first incarnation of the delivery that has this one.
func first(incarnation string) string {
	base, _, _ := strings.Cut(incarnation, "/")
	return base
}

// Source names the stored message in events.
func (d *Delivery) Source() *messages.Source {
	return &messages.Source{Stream: d.Stream, Sequence: d.Sequence}
}

// Settler settles a delivery. Only the first call has an effect; it neither blocks nor fails.
type Settler interface {
	Settle(Outcome)
}

// Settled is how an order actor has its supervisor settle a delivery.
type Settled struct {
	Delivery *Delivery
	Outcome  Outcome
}
