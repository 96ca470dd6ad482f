package actors

import (
	"errors"
	"sync"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/failpoint"
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

// appending is one append under way, and the message that brings its completion to the actor. An actor has at most one
// under way; a waiting order holds none.
type appending struct {
	journal.Append
	root  *actor.RootContext
	self  *actor.PID
	actor *Order
	entry *messages.JournalEntry
	then  then
	// failure is what the driver fails with after thenRestart.
	failure *delivery.Failure

	sequence uint64
	err      error
}

// appendings that are not under way. One that was meant for an earlier instance of the actor is not put back: nobody
// knows when the journal is through with it.
var appendings = sync.Pool{New: func() any {
	a := &appending{}
	a.Done = func(_ *journal.Append, seq uint64, err error) {
		a.sequence, a.err = seq, err
		a.root.Send(a.self, a)
	}
	return a
}}

// startAppend journals the events as one entry, fenced by the last one this actor knows. The failure is for
// thenRestart.
func (o *Order) startAppend(events []*messages.Event, next then, failure *delivery.Failure) {
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
	a := appendings.Get().(*appending)
	body, err := journal.Encode(a.Body[:0], entry)
	if err != nil {
		o.fail(messages.Defect, err)
	}
	a.OrderID, a.Expected, a.Kinds, a.Body = o.id(), o.state.Last, journal.Kinds(entry), body
	a.root, a.self, a.actor, a.entry, a.then, a.failure = o.ctx.ActorSystem().Root, o.ctx.Self(), o, entry, next, failure
	o.busy = true
	if a.Expected == 0 {
		failpoint.Pass(failpoint.BeforeAccept)
	}
	if events[len(events)-1].GetAttention() != nil {
		failpoint.Pass(failpoint.BeforeAttention)
	}
	failpoint.Pass(failpoint.BeforeAppend)
	o.Journal.Append(&a.Append)
}

// release makes the appending usable for another append, by whatever actor.
func (a *appending) release() {
	a.root, a.self, a.actor, a.entry, a.failure, a.err = nil, nil, nil, nil, nil, nil
	appendings.Put(a)
}

// appended goes on after the journal answered.
func (o *Order) appended(a *appending) {
	o.busy = false
	entry, expected, sequence, next, failure, err := a.entry, a.Expected, a.sequence, a.then, a.failure, a.err
	a.release()
	switch {
	case errors.Is(err, journal.ErrConflict):
		o.read()
		return
	case err != nil:
		o.fail(messages.Infrastructure, err)
	}
	if expected == 0 {
		failpoint.Pass(failpoint.Accepted)
	}
	if next == thenDrive && expected != 0 {
		failpoint.Pass(failpoint.Resumed)
	}
	failpoint.Pass(failpoint.AfterAppend)
	if err := o.state.Apply(sequence, entry); err != nil {
		o.fail(messages.Defect, err)
	}
	o.instr.journaled(o.state, entry)
	if rests(entry) {
		o.logRest(o.state)
	}
	switch next {
	case thenAck:
		o.finish(delivery.Done())
	case thenDrive:
		o.begin()
	case thenRestart:
		panic(failure)
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
	o.settle(o.driver, delivery.Done())
	o.endSpan(o.state.Status.String())
	o.driver, o.call, o.current = nil, nil, false
}
