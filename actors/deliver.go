package actors

import (
	"context"
	"log/slog"
	"slices"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// hold adds a delivery, unless it is held already: a supervisor that restarts an actor in place sends deliveries again that
// may still be in the mailbox.
func (o *Order) hold(d *delivery.Delivery) {
	if d == o.driver || slices.Contains(o.held, d) || slices.Contains(o.stashed, d) {
		return
	}
	if d.Started {
		// The instance of this actor that failed may have made a call whose result is lost: this one takes over from it.
		d.Renew()
	}
	if len(o.held) == 0 {
		o.held = o.heldBuf[:0]
	}
	o.held = append(o.held, d)
}

// decide answers the first held delivery (R2, R3, R5).
func (o *Order) decide() {
	d := o.held[0]
	fresh := d.Fresh()
	d.Started = true
	if o.state == nil && d.Type == messages.TypeCreated && fresh {
		// R2: no node has acted on the message, so the journal holds nothing of it; if it does, the fence refuses the append.
		o.state, o.fence = &order.State{}, 0
		o.current = true
	}
	if o.mustRead(d) {
		if !o.resumeUnread(d) {
			o.read()
		}
		return
	}
	decision := o.receive(o.state, d)
	o.current = false
	switch decision.Action {
	case order.Ack:
		o.ack()
	case order.Drive:
		o.becomeDriver()
	case order.AppendAndDrive:
		o.startAppend(decision.Events, (*Order).becomeDriver)
	case order.AppendAndAck:
		o.startAppend(decision.Events, (*Order).ack)
	case order.Reschedule:
		o.schedule()
	case order.Redeliver:
		o.finish(delivery.Later(decision.Delay))
	case order.Await:
		o.await(decision.Delay)
	case order.Stash:
		o.stash(decision.Delay)
	case order.DeadLetter:
		o.finish(delivery.Dead(decision.Reason))
	case order.Drop:
		o.finish(delivery.Dropped())
	case order.CheckPredecessors:
		o.checkPredecessors(d)
	case order.ReadInbox:
		o.readInbox(d.OrderID)
	}
}

// mustRead reports whether the state is too old to decide by. The state of a driver is current: an append by another
// delivery since then either makes its next append fail, or has no effect on the decision. But a driver that was fenced
// without knowing must re-read before it acknowledges a wake-up, which may be the only one of a later park (R5.4). An order
// that has ended does not change. One read serves all messages about an order that had arrived before it.
func (o *Order) mustRead(d *delivery.Delivery) bool {
	switch {
	case o.current, o.state != nil && o.state.Status.Terminal():
		return false
	case d.Type == messages.TypeWake:
		return true
	}
	return o.driver == nil && (o.covered == 0 || o.state.Status == order.None)
}

// resumeUnread resumes a parked order without a read: the timer contains its state, or this actor has it in memory. If the
// order has changed since, the fence refuses the append, and the journal is read (R5). Every other answer to a wake-up is
// unfenced and therefore needs a read. It reports whether it started the append.
func (o *Order) resumeUnread(d *delivery.Delivery) bool {
	if d.Type != messages.TypeWake {
		return false
	}
	state, fence := o.state, o.fence
	if state == nil {
		state = order.FromSnapshot(d.OrderID, o.cfg.Plan, journal.DecodeSnapshot(d.Snapshot))
	}
	if state == nil {
		return false
	}
	if o.state == nil {
		fence = state.Last
	}
	decision := o.receive(state, d)
	if decision.Action != order.AppendAndDrive {
		return false
	}
	o.state, o.fence = state, fence
	o.startAppend(decision.Events, (*Order).becomeDriver)
	return true
}

// receive lets the core decide about the delivery in that state.
func (o *Order) receive(state *order.State, d *delivery.Delivery) order.Decision {
	e := order.Env{
		Plan: o.cfg.Plan, Now: o.cfg.Now(), Local: o.cfg.Local(), UnknownAge: o.cfg.UnknownAge,
		OthersWait: len(o.held)+len(o.stashed) > 1 || o.othersWait(), StashFull: o.stashedCount.Load() >= maxStashed,
		SearchFull: o.searches.Load() >= maxSearches, Jitter: o.cfg.Rand(), ExclusiveFor: o.exclusiveFor(),
	}
	if found := o.search; found != nil {
		e.Predecessors, e.SearchedAt, e.Inbox = found.predecessors, found.searchedAt, found.stored
	}
	decision := order.Receive(state, d, e)
	if log := o.cfg.Logger; log.Enabled(context.Background(), slog.LevelDebug) {
		log.Debug("delivery decided", "order_id", string(d.OrderID), "type", string(d.Type), "sequence", d.Sequence, "rule", decision.Rule)
	}
	return decision
}

// finish settles the first held delivery.
func (o *Order) finish(outcome delivery.Outcome) { o.settle(o.take(), outcome) }

// ack settles the first held delivery when what it caused is in the journal. A message without effect is not in the journal (R7).
func (o *Order) ack() {
	d := o.held[0]
	if d.Type == messages.TypeWake || o.state.Names(d.Type, d.Sequence) {
		o.finish(delivery.Done())
		return
	}
	o.finish(delivery.DoneWithoutEffect())
}

// take removes the first held delivery.
func (o *Order) take() *delivery.Delivery {
	d := o.held[0]
	o.held[0] = nil
	o.held = o.held[1:]
	o.covered = max(0, o.covered-1)
	o.search = nil
	return d
}

// becomeDriver makes the first held delivery the driver. It may take over from another delivery of the same message, if
// an acknowledgement wait ended though its holder was alive.
func (o *Order) becomeDriver() {
	if o.driver != nil {
		o.settle(o.driver, delivery.Dropped())
		o.endSpan("overtaken")
	}
	o.driver = o.take()
	o.startSpan()
}
