package actors

import (
	"errors"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/crashpoint"
)

// then says what an append is for.
type then uint8

const (
	// thenDrive: the first held delivery becomes the driver.
	thenDrive then = iota + 1
	// thenAck: the first held delivery is settled.
	thenAck
	// thenGo: the driver decides again.
	thenGo
	// thenRestart: the driver journaled a failed attempt and fails.
	thenRestart
)

// appending is the actor's one append, and the message that brings its completion.
type appending struct {
	journal.Append
	actor *Order
	entry *messages.JournalEntry
	then  then
	// failure is what the driver fails with after thenRestart.
	failure *messages.Failure

	sequence uint64
	err      error
}

// startAppend journals the events as one entry, fenced by the last one this actor knows.
func (o *Order) startAppend(events []*messages.Event, next then) {
	entry := &messages.JournalEntry{
		OrderId:     string(o.id()),
		Number:      o.state.Number + 1,
		Time:        timestamppb.New(o.cfg.Now()),
		Node:        o.cfg.Node,
		Traceparent: o.traceparent(),
		Events:      events,
	}
	a := &o.append
	body, err := journal.Encode(a.Body[:0], entry)
	if err != nil {
		o.fail(messages.Defect, err)
	}
	a.OrderID, a.Expected, a.Kinds, a.Body = o.id(), o.state.Last, journal.Kinds(entry), body
	a.actor, a.entry, a.then, a.err = o, entry, next, nil
	if a.Done == nil {
		self, root := o.ctx.Self(), o.ctx.ActorSystem().Root
		a.Done = func(_ *journal.Append, seq uint64, err error) {
			a.sequence, a.err = seq, err
			root.Send(self, a)
		}
	}
	o.busy = true
	if a.Expected == 0 {
		crashpoint.Pass(crashpoint.BeforeAccept)
	}
	crashpoint.Pass(crashpoint.BeforeAppend)
	o.Journal.Append(&a.Append)
}

// appended goes on after the journal answered.
func (o *Order) appended(a *appending) {
	o.busy = false
	entry := a.entry
	a.entry = nil
	switch {
	case errors.Is(a.err, journal.ErrConflict):
		o.read()
		return
	case a.err != nil:
		o.fail(messages.Infrastructure, a.err)
	}
	if a.Expected == 0 {
		crashpoint.Pass(crashpoint.Accepted)
	}
	crashpoint.Pass(crashpoint.AfterAppend)
	if err := o.state.Apply(a.sequence, entry); err != nil {
		o.fail(messages.Defect, err)
	}
	o.instr.journaled(o.state, entry)
	if rests(entry) {
		o.logRest(o.state)
	}
	switch a.then {
	case thenAck:
		o.finish(messages.Done())
	case thenDrive:
		o.begin()
	case thenRestart:
		panic(a.failure)
	case thenGo:
		o.answer, o.giveUp = nil, nil
		o.rest()
	}
}

// rest settles the driver when the order needs it no longer.
func (o *Order) rest() {
	switch {
	case o.state.Status == order.Parked:
		o.schedule(o.release)
	case !o.state.Status.Driven():
		o.release()
	}
}

// release settles the driver: everything it caused is in the journal.
func (o *Order) release() {
	o.settle(o.driver, messages.Done())
	o.endSpan(o.state.Status.String())
	o.driver, o.call, o.current = nil, nil, false
}
