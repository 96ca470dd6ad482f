package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/failpoint"
)

// decide answers the first held delivery (R2, R3, R5).
func (o *Order) decide() {
	d := o.held[0]
	fresh := d.Fresh()
	d.Started = true
	if o.state == nil && d.Type == messages.TypeCreated && fresh {
		// R2: nothing can be known of a message that nobody acted on; the fence finds out if that is wrong.
		o.state = &order.State{}
		o.current = true
	}
	// What a driver remembers is as good as a read: whatever has changed since is fenced, or does not matter. But who was
	// fenced and does not know must not let go what may be the only wake-up of a later park (R5.4).
	if !o.current && (o.driver == nil || d.Type == messages.TypeWake) && (o.state == nil || !o.state.Status.Terminal()) {
		if !o.wakeUnread(d) {
			o.read()
		}
		return
	}
	decision := o.receive(o.state, d)
	o.current = false
	switch decision.Action {
	case order.Ack:
		o.finish(delivery.Done())
	case order.Drive:
		o.begin()
	case order.AppendAndDrive:
		o.startAppend(decision.Events, thenDrive, nil)
	case order.AppendAndAck:
		o.startAppend(decision.Events, thenAck, nil)
	case order.Reschedule:
		o.schedule(func() { o.finish(delivery.Done()) })
	case order.Redeliver:
		o.finish(delivery.Later(decision.Delay))
	case order.Stash:
		o.putAside(decision.Delay)
	case order.DeadLetter:
		o.finish(delivery.Dead(decision.Reason))
	case order.Drop:
		o.finish(delivery.Dropped())
	case order.CheckPredecessors:
		o.lookBack(d)
	}
}

// receive answers the delivery, given where the order stands.
func (o *Order) receive(state *order.State, d *delivery.Delivery) order.Decision {
	decision := order.Receive(state, d, order.Env{
		Plan: o.cfg.Plan, Now: o.cfg.Now(), UnknownAge: o.cfg.UnknownAge, Predecessors: o.earlier,
		ExclusiveFor: min(order.DefaultExclusiveFor, o.cfg.AckWait/3),
	})
	if log := o.cfg.Logger; log.Enabled(context.Background(), slog.LevelDebug) {
		log.Debug("delivery decided", "order_id", string(d.OrderID), "type", string(d.Type), "sequence", d.Sequence, "rule", decision.Rule)
	}
	return decision
}

// wakeUnread resumes a parked order without a read, as its timer tells where it stood, or this actor remembers. If it has
// moved since, the fence holds the append back, and the journal is read (R5). Nothing fences any other answer than
// to resume: those take a read. It reports whether the append is under way.
func (o *Order) wakeUnread(d *delivery.Delivery) bool {
	if d.Type != messages.TypeWake {
		return false
	}
	state := o.state
	if state == nil {
		state = order.FromSnapshot(d.OrderID, o.cfg.Plan, journal.DecodeSnapshot(d.Snapshot))
	}
	if state == nil {
		return false
	}
	decision := o.receive(state, d)
	if decision.Action != order.AppendAndDrive {
		return false
	}
	o.state = state
	o.startAppend(decision.Events, thenDrive, nil)
	return true
}

// finish settles the first held delivery.
func (o *Order) finish(outcome delivery.Outcome) {
	o.settle(o.take(), outcome)
}

// take removes the first held delivery.
func (o *Order) take() *delivery.Delivery {
	d := o.held[0]
	o.held[0] = nil
	o.held = o.held[1:]
	o.earlier = order.PredecessorsUnknown
	return d
}

// begin makes the first held delivery the driver. A delivery it takes over from is overtaken: two deliveries of one
// message can meet here when an acknowledgement wait ran out while the first was alive.
func (o *Order) begin() {
	if o.driver != nil {
		o.settle(o.driver, delivery.Dropped())
		o.endSpan("overtaken")
	}
	o.driver = o.take()
	o.startSpan()
}

// read finds out anew where the order stands.
func (o *Order) read() {
	id := o.id()
	o.leave(func(ctx context.Context) func() {
		entries, err := o.Journal.Read(ctx, id)
		if err != nil {
			return func() { o.failRead(err) }
		}
		state := &order.State{}
		for _, e := range entries {
			if err := state.Restore(e.Sequence, e.Entry); err != nil {
				return func() { o.fail(messages.Defect, err) }
			}
		}
		return func() { o.merge(state) }
	})
}

// failRead keeps a journal that cannot be understood apart from one that is away: the first is a defect, for a person
// to see, and must not cost the order its driver.
func (o *Order) failRead(err error) {
	var failure *delivery.Failure
	if errors.As(err, &failure) && failure.Kind == messages.Poison {
		o.fail(messages.Defect, err)
	}
	o.fail(messages.Infrastructure, err)
}

// merge takes over what the journal tells. A driver whose incarnation is not the owner any more has been fenced: it
// drops everything it holds, settles nothing, calls nothing (R4).
func (o *Order) merge(state *order.State) {
	o.state, o.current = state, true
	if o.driver != nil && (state.Driver != order.SourceOf(o.driver) || state.Owner != o.driver.Incarnation) {
		o.instr.fenced()
		o.settle(o.driver, delivery.Dropped())
		o.endSpan("fenced")
		o.dropCall()
		o.driver, o.answer, o.giveUp = nil, nil, nil
	}
}

// lookBack finds out whether an earlier message of the order is stored and not recorded (R3.5).
func (o *Order) lookBack(d *delivery.Delivery) {
	state := o.state
	o.leave(func(ctx context.Context) func() {
		earlier := order.PredecessorsNone
		for from := state.Watermark + 1; from < d.Sequence; {
			m, ok, err := o.Inbox.FirstStored(ctx, d.OrderID, from)
			if err != nil {
				return func() { o.fail(messages.Infrastructure, fmt.Errorf("look for earlier messages: %w", err)) }
			}
			if !ok || m.Sequence >= d.Sequence {
				break
			}
			// To an order that exists no created message does anything, whether it is settled or not.
			if m.Type != messages.TypeCreated || state.Status == order.None {
				earlier = order.PredecessorsPending
				break
			}
			from = m.Sequence + 1
		}
		// Without an order the journal is read again: what is not found in the inbox may have become one meanwhile.
		return func() {
			o.earlier, o.current = earlier, earlier == order.PredecessorsPending || state.Status != order.None
		}
	})
}

// schedule sets the timer of the current park and goes on; without it the delivery must not be settled (R6).
func (o *Order) schedule(then func()) {
	timer := messages.Timer{
		OrderID: o.state.ID, Park: o.state.Park, At: o.state.ParkedUntil, Traceparent: o.traceparent(), Snapshot: journal.EncodeSnapshot(o.state.Snapshot()),
	}
	failpoint.Pass(failpoint.BeforeSchedule)
	if o.driver != nil && o.driver.Type == messages.TypeWake {
		failpoint.Pass(failpoint.Reparked)
	}
	o.leave(func(ctx context.Context) func() {
		if err := o.Timers.Schedule(ctx, timer); err != nil {
			return func() { o.fail(messages.Infrastructure, fmt.Errorf("schedule the wake-up: %w", err)) }
		}
		failpoint.Pass(failpoint.AfterSchedule)
		return then
	})
}
