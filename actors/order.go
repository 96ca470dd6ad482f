package actors

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/asynkron/protoactor-go/actor"
	"go.opentelemetry.io/otel/trace"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// Order is the actor that carries one order while deliveries about it are unsettled.
type Order struct {
	*Factory
	ctx actor.Context

	// state is what the journal tells; nil until read or begun.
	state *order.State
	// current: state was read since the last decision, or is fenced because this actor drives the order.
	current bool

	// held are the deliveries to decide, in the order in which they came; the first may be under way.
	held []*delivery.Delivery
	// one is held's memory while it holds one.
	one [1]*delivery.Delivery
	// kept are deliveries that wait for the order to begin.
	kept []*delivery.Delivery
	// earlier is what is known of the inbox before held[0].
	earlier order.Predecessors
	// driver is the delivery that carries the order forward, or nil.
	driver *delivery.Delivery
	// span covers the driver's work; nil when nothing is recorded.
	span trace.Span
	// giveUp is set when the restart budget is spent: attention instead of another attempt.
	giveUp *delivery.Failure

	// busy: an append, a read, a look-up or a scheduling is under way, and its completion will come as a message.
	busy bool
	// call is under way; answer came back and is not in the journal yet.
	call   *calling
	answer *order.CallResult
}

// Receive handles one message. It panics with a *delivery.Failure to fail.
func (o *Order) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *delivery.Delivery:
		o.ctx = ctx
		o.hold(m)
	case *delivery.GiveUp:
		o.giveUp = m.Failure
		return
	case *appending:
		if m.actor != o {
			return
		}
		o.appended(m)
	case *answered:
		if m.call.actor != o {
			return
		}
		o.answered(m)
	case *lookAgain:
		if m.actor != o {
			return
		}
		o.reconsider()
	case *found:
		if m.actor != o {
			return
		}
		o.found(m)
	case *actor.Stopping, *actor.Restarting:
		o.dropCall()
		o.Factory.kept.Add(-int64(len(o.kept)))
		o.kept = nil
		return
	default:
		return
	}
	o.advance()
}

// hold takes a delivery in, unless it is held already: after a restart the supervisor hands over again what may still
// wait in the mailbox.
func (o *Order) hold(d *delivery.Delivery) {
	if d != o.driver && !slices.Contains(o.held, d) && !slices.Contains(o.kept, d) {
		if len(o.held) == 0 {
			o.held = o.one[:0]
		}
		o.held = append(o.held, d)
	}
}

// advance decides and acts until something is under way or nothing is left to do. A held fact goes first: it is
// journaled before anything else is decided.
func (o *Order) advance() {
	for !o.busy {
		switch {
		case o.answer != nil:
			o.settleAnswer()
		case len(o.kept) > 0 && o.state.Status != order.None:
			o.reconsider()
		case len(o.held) > 0:
			o.decide()
		case o.driver != nil && o.call == nil:
			o.drive()
		default:
			return
		}
	}
}

// settle ends a delivery.
func (o *Order) settle(d *delivery.Delivery, outcome delivery.Outcome) {
	o.ctx.Send(o.ctx.Parent(), &delivery.Settled{Delivery: d, Outcome: outcome})
}

// leave leaves work that may block to the background, which brings its completion back as a message.
func (o *Order) leave(work func(context.Context) func()) {
	o.busy = true
	self, root := o.ctx.Self(), o.ctx.ActorSystem().Root
	o.background.do(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, o.cfg.Timeout)
		defer cancel()
		root.Send(self, &found{actor: o, then: o.completion(ctx, work)})
	})
}

// completion does the work. A panic in it is the actor's, not the end of the node.
func (o *Order) completion(ctx context.Context, work func(context.Context) func()) (then func()) {
	defer func() {
		if cause := recover(); cause != nil {
			stack := string(debug.Stack())
			then = func() {
				o.cfg.Logger.Error("work of an order actor panicked", "order_id", string(o.id()), "panic", fmt.Sprint(cause), "stack", stack)
				o.fail(messages.Defect, fmt.Errorf("panic: %v", cause))
			}
		}
	}()
	return work(ctx)
}

// found brings the completion of background work to the actor that asked for it.
type found struct {
	actor *Order
	then  func()
}

func (o *Order) found(m *found) {
	o.busy = false
	m.then()
}

// fail hands a failure to the supervisor.
func (o *Order) fail(kind messages.FailureKind, err error) {
	panic(&delivery.Failure{Kind: kind, Err: fmt.Errorf("order %s: %w", o.id(), err)})
}

func (o *Order) id() messages.OrderID {
	switch {
	case o.driver != nil:
		return o.driver.OrderID
	case len(o.held) > 0:
		return o.held[0].OrderID
	}
	return o.state.ID
}
