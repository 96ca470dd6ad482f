package actors

import (
	"errors"
	"fmt"

	"github.com/asynkron/protoactor-go/actor"
	"go.opentelemetry.io/otel/trace"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

// Order is the actor of one order. It exists while deliveries about the order are unsettled.
type Order struct {
	*Factory
	ctx actor.Context

	// state is what the journal holds; nil until read or started.
	state *order.State
	// fence is what the next append expects: the last sequence on the order's subject, at least that of the last entry.
	fence uint64
	// current: state was read since the last decision, or is fenced because this actor drives the order.
	current bool

	// held are the deliveries to decide, in the order in which they arrived; an operation may be in progress for the first.
	held []*delivery.Delivery
	// heldBuf is the backing array of held while it has one element.
	heldBuf [1]*delivery.Delivery
	// stashed deliveries wait for the order to start.
	stashed []*delivery.Delivery
	// covered is how many of held, the first ones, arrived before the state was last read.
	covered int
	// counted is what this actor counts in Memory.
	counted int64
	// search is what was found in the inbox around held[0]; nil: it was not searched.
	search *search
	// noCreatedUpTo: a search found no created message up to this sequence of the inbox.
	noCreatedUpTo uint64

	// driver is the delivery that drives the order, or nil.
	driver *delivery.Delivery
	// span covers the driver's work; nil when nothing is recorded.
	span trace.Span
	// giveUp is set when the restart budget is spent: attention instead of another move.
	giveUp *delivery.Failure

	// admitted is the size for which the order takes room in the store; 0: none.
	admitted int

	// busy: an append or background work is in progress; its completion will arrive as a message.
	busy bool
	// The driver's step call is in one of three states: call is in flight; result has arrived and is not in the journal yet;
	// retry is the timer until the failed call is made again.
	call   *stepCall
	result *order.CallResult
	retry  *retry
}

// Receive handles one message. It panics with a *delivery.Failure to fail.
func (o *Order) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *delivery.Delivery:
		o.ctx = ctx
		o.hold(m)
	case completion:
		if m.startedBy() != o {
			return
		}
		m.complete()
	case *delivery.GiveUp:
		o.giveUp = m.Failure
	case *actor.Stopping, *actor.Restarting:
		o.dropCall()
		o.dropStash()
		o.count(-o.counted)
		o.unadmit()
		return
	default:
		return
	}
	o.advance()
}

// advance decides and acts until an operation is in progress or nothing is left to do. A result has priority: it is journaled
// before anything else is decided.
func (o *Order) advance() {
	for !o.busy {
		switch {
		case o.result != nil:
			o.handleResult()
		case len(o.stashed) > 0 && o.state.Status != order.None:
			o.unstash()
		case len(o.held) > 0:
			o.decide()
		case o.driver != nil && o.call == nil && !o.awaitsRetry():
			o.drive()
		default:
			return
		}
	}
}

// count counts n more bytes of the order, fewer if n is negative.
func (o *Order) count(n int64) {
	o.counted += n
	o.Memory.Add(n)
}

// settle ends a delivery.
func (o *Order) settle(d *delivery.Delivery, outcome delivery.Outcome) {
	o.ctx.Send(o.ctx.Parent(), &delivery.Settled{Delivery: d, Outcome: outcome})
}

// fail panics with the error, for the supervisor. A panic, and what only this order cannot do, are defects: its journal cannot
// be understood, or its data are too large. They lead to attention; everything else is infrastructure, which stops the node
// if it lasts.
func (o *Order) fail(err error) {
	kind := messages.Infrastructure
	var f *delivery.Failure
	if errors.As(err, &f) && f.Kind == messages.Defect || natsclient.TooLarge(err) {
		kind = messages.Defect
	}
	panic(&delivery.Failure{Kind: kind, Err: fmt.Errorf("order %s: %w", o.id(), err)})
}

// defect marks an error as one that a restart may not fix.
func defect(err error) error { return &delivery.Failure{Kind: messages.Defect, Err: err} }

func (o *Order) id() messages.OrderID {
	switch {
	case o.driver != nil:
		return o.driver.OrderID
	case len(o.held) > 0:
		return o.held[0].OrderID
	}
	return o.state.ID
}
