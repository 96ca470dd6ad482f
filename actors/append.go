package actors

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/failpoint"
)

// pendingAppend is one append in progress. An actor has at most one; an actor that waits for something else has none.
type pendingAppend struct {
	operation
	journal.Append
	entry *messages.JournalEntry
	// onAppended runs in the actor when the entry is in the journal.
	onAppended func(*Order)

	sequence uint64
	err      error
}

// appendPool holds unused ones. One that an earlier instance of an actor started is not put back, because the journal may
// still use it.
var appendPool = sync.Pool{New: func() any {
	a := &pendingAppend{}
	a.Done = func(_ *journal.Append, sequence uint64, err error) {
		a.sequence, a.err = sequence, err
		a.post(a)
	}
	return a
}}

// startAppend journals the events as one entry, fenced by the last message of the order that this actor has read or appended.
func (o *Order) startAppend(events []*messages.Event, onAppended func(*Order)) {
	entry := &messages.JournalEntry{
		OrderId:     string(o.id()),
		Number:      o.state.Number + 1,
		Time:        timestamppb.New(o.cfg.Now()),
		Node:        o.cfg.Node,
		Traceparent: o.traceparent(),
		Events:      events,
		Previous:    o.state.Last,
		Checkpoint:  o.state.Checkpoint(o.cfg.CheckpointEvery),
	}
	a := appendPool.Get().(*pendingAppend)
	body, err := journal.Encode(a.Body[:0], entry)
	if err != nil {
		o.fail(defect(err))
	}
	if entry.Number == 1 && !o.admit(len(body)) {
		a.Body = body
		appendPool.Put(a)
		o.refuse()
		return
	}
	a.operation, a.entry, a.onAppended = o.newOperation(), entry, onAppended
	a.OrderID, a.Expected, a.Kinds, a.Body = o.id(), o.fence, journal.Kinds(entry), body
	o.busy = true
	if entry.Number == 1 {
		failpoint.Pass(failpoint.BeforeAccept)
	}
	if events[len(events)-1].GetAttention() != nil {
		failpoint.Pass(failpoint.BeforeAttention)
	}
	failpoint.Pass(failpoint.BeforeAppend)
	o.Journal.Append(&a.Append)
}

// countedEntry is the size of the smallest entry that is counted as memory, in bytes.
const countedEntry = 4 << 10

// complete applies the entry, or reads the journal when another entry was stored first, or the reply was lost (R0).
func (a *pendingAppend) complete() {
	o, entry, onAppended, sequence, err := a.actor, a.entry, a.onAppended, a.sequence, a.err
	size := len(a.Body)
	a.operation, a.entry, a.onAppended, a.err = operation{}, nil, nil, nil
	appendPool.Put(a)

	o.busy = false
	if size > countedEntry && entry.Number > 1 {
		o.count(int64(size)) // the first entry is the order, which ingress counts
	}
	switch {
	case errors.Is(err, journal.ErrConflict):
		o.read()
		return
	case err != nil:
		o.fail(err)
	}
	if entry.Number == 1 {
		failpoint.Pass(failpoint.Accepted)
	}
	if entry.Events[len(entry.Events)-1].GetResumed() != nil {
		failpoint.Pass(failpoint.Resumed)
	}
	failpoint.Pass(failpoint.AfterAppend)
	if err := o.state.Apply(sequence, entry); err != nil {
		o.fail(defect(err))
	}
	o.fence = sequence
	o.instr.journaled(o.state, entry)
	if endsDriving(entry) {
		o.logRest(o.state)
	}
	onAppended(o)
}

// moved continues after an entry that advanced the order.
func (o *Order) moved() {
	o.result, o.giveUp = nil, nil
	switch {
	case o.state.Status == order.Parked:
		o.schedule()
	case !o.state.Status.Driven():
		o.release()
	case o.state.LastFailure != nil:
		o.waitForRetry()
	}
}

// schedule sets the timer of the current park. Until it is set, the delivery that caused the park, or found it without
// one, must not be settled (R6).
func (o *Order) schedule() {
	timer := messages.Timer{
		OrderID: o.state.ID, Park: o.state.Park, At: o.state.ParkedUntil, Traceparent: o.traceparent(), Snapshot: journal.EncodeSnapshot(o.state.Snapshot()),
	}
	failpoint.Pass(failpoint.BeforeSchedule)
	if o.driver != nil && o.driver.Type == messages.TypeWake {
		failpoint.Pass(failpoint.Reparked)
	}
	pipeToSelf(o, func(ctx context.Context) (struct{}, error) {
		err := o.Timers.Schedule(ctx, timer)
		if err == nil {
			failpoint.Pass(failpoint.AfterSchedule)
		}
		return struct{}{}, err
	}, (*Order).scheduled)
}

func (o *Order) scheduled(_ struct{}, err error) {
	switch {
	case err != nil:
		o.fail(fmt.Errorf("schedule the wake-up: %w", err))
	case o.driver != nil:
		o.release()
	default:
		o.ack()
	}
}

// release settles the driver: everything it caused is in the journal.
func (o *Order) release() {
	o.unadmit()
	o.settle(o.driver, delivery.Done())
	o.endSpan(o.state.Status.String())
	o.driver, o.current = nil, false
}
