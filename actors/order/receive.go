package order

import (
	"fmt"
	"time"

	"github.com/orderly-engine/orderly/messages"
)

// Verb is what the holder of a delivery does with it.
type Verb uint8

// What a delivery can mean.
const (
	// Ack: its effects are in the journal for good.
	Ack Verb = iota + 1
	// Drive: the journal already names this very delivery as the owner; go on.
	Drive
	// AppendAndDrive: append Events, then drive the order by this delivery.
	AppendAndDrive
	// AppendAndAck: append Events, then settle.
	AppendAndAck
	// Reschedule: schedule the timer of the current park again, then settle.
	Reschedule
	// Wait: deliver again after Delay.
	Wait
	// Bury: dead letter with Reason.
	Bury
	// AskEarlier: find out whether an earlier message of the order is stored and not recorded, and decide again.
	AskEarlier
)

// Decision answers a delivery.
type Decision struct {
	Verb   Verb
	Events []*messages.Event
	Delay  time.Duration
	Reason string
}

// Earlier is what is known of earlier messages of the order in the inbox.
type Earlier uint8

// The knowledge about earlier messages.
const (
	Unasked Earlier = iota
	// Open: an earlier message is stored and not recorded.
	Open
	// Clear: there is none.
	Clear
)

// Circumstances are the facts from outside that a decision needs.
type Circumstances struct {
	// Plan is pinned to an order that is accepted now.
	Plan *messages.Plan
	Now  time.Time
	// UnknownAge is how long a message about an order that does not exist is kept.
	UnknownAge time.Duration
	Earlier    Earlier
	// Alone is how long after its receipt a delivery is certainly the only one of its message: shorter than the
	// acknowledgement wait, which must pass before there is another. Only within it is a message about an unknown order
	// made a dead letter. Nothing fences that decision: had another delivery of the message found the order meanwhile,
	// and become its driver, the order would lose its driver's message. 0: DefaultAlone.
	Alone time.Duration
}

func (c Circumstances) alone() time.Duration {
	if c.Alone == 0 {
		return DefaultAlone
	}
	return c.Alone
}

// Delays of deliveries that cannot be decided yet.
const (
	waitEarlier = 250 * time.Millisecond
	waitUnknown = time.Second
)

// DefaultAlone is a third of the default acknowledgement wait, less what a busy node may need to be told of a delivery.
const DefaultAlone = time.Second

// Receive decides what a delivery means, given all that the journal tells of its order: rules R2, R3 and R5, the first
// match wins.
func Receive(s *State, d *messages.Delivery, c Circumstances) Decision {
	if d.Type == messages.TypeWake {
		return receiveWake(s, d, c)
	}
	switch recorded := s.Recorded(d.Sequence); {
	// R3.1
	case s.Status.Terminal():
		return s.again(d)
	// R4: the journal names this very delivery; its append was acknowledged, or only its reply was lost.
	case recorded && s.Driver == SourceOf(d) && s.Owner == d.Incarnation:
		return Decision{Verb: Drive}
	// R3.2
	case recorded && s.Driver == SourceOf(d):
		return takeover(d)
	// A second created message that a later recording has passed: compared like one that none has.
	case recorded && d.Type == messages.TypeCreated && s.conflicts(d):
		return s.again(d)
	// R3.3
	case recorded && s.Status == Parked:
		return Decision{Verb: Reschedule}
	case recorded:
		return Decision{Verb: Ack}
	// R3.4
	case d.Type == messages.TypeCreated && s.Status == None:
		return Accept(d, c.Plan)
	case d.Type == messages.TypeCreated:
		return s.again(d)
	// R3.5 looks into the inbox, therefore R3.6 is decided with it.
	case c.Earlier == Unasked:
		return Decision{Verb: AskEarlier}
	case c.Earlier == Open:
		return Decision{Verb: Wait, Delay: waitEarlier}
	// R3.6
	case s.Status == None && c.Now.Sub(d.Stored) > c.UnknownAge && c.Now.Sub(d.Received) <= c.alone():
		return Decision{Verb: Bury, Reason: fmt.Sprintf("no such order: none was created within %s of this %s", c.UnknownAge, d.Type)}
	case s.Status == None:
		return Decision{Verb: Wait, Delay: min(waitUnknown, c.UnknownAge)}
	// R3.7
	case s.Status == Parked, s.Status == Attention && d.Type != messages.TypeSignal:
		return Decision{Verb: AppendAndDrive, Events: []*messages.Event{recording(d), resumed(d, cause(d.Type))}}
	// R3.8
	default:
		return Decision{Verb: AppendAndAck, Events: []*messages.Event{recording(d)}}
	}
}

// Accept is the first entry of an order (R2). An order that cannot be carried out begins and ends in one entry.
func Accept(d *messages.Delivery, plan *messages.Plan) Decision {
	events := []*messages.Event{accepted(&messages.OrderAccepted{
		Order: d.Created, Plan: plan, Driver: d.Source(), Incarnation: d.Incarnation,
	})}
	if d.Invalid != nil {
		return Decision{Verb: AppendAndAck, Events: append(events, rejected("invalid", clip(d.Invalid.Error())))}
	}
	return Decision{Verb: AppendAndDrive, Events: events}
}

// again answers a message whose effect cannot come any more: a created message for an order that exists, or anything
// about an order that has ended.
func (s *State) again(d *messages.Delivery) Decision {
	if s.conflicts(d) {
		return Decision{Verb: Bury, Reason: fmt.Sprintf("order %s exists with different content", d.OrderID)}
	}
	return Decision{Verb: Ack}
}

// conflicts reports whether d asks for another order under the same id.
func (s *State) conflicts(d *messages.Delivery) bool {
	return d.Type == messages.TypeCreated && d.Sequence != s.Accepted && !messages.SameOrder(s.Order, d.Created)
}

func takeover(d *messages.Delivery) Decision {
	return Decision{Verb: AppendAndDrive, Events: []*messages.Event{resumed(d, "takeover")}}
}

// receiveWake decides about a fired timer (R5).
func receiveWake(s *State, d *messages.Delivery, c Circumstances) Decision {
	switch driver := s.Driver == SourceOf(d); {
	// R5.1
	case s.Status.Terminal():
		return Decision{Verb: Ack}
	// R4
	case driver && s.Owner == d.Incarnation:
		return Decision{Verb: Drive}
	// R5.2
	case driver:
		return takeover(d)
	case s.Status == None && c.Now.Sub(d.Stored) > c.UnknownAge:
		return Decision{Verb: Bury, Reason: "no such order: its history is gone"}
	// A journal older than the park is a stale read.
	case s.Last < d.Park:
		return Decision{Verb: Wait, Delay: waitEarlier}
	// R5.3
	case s.Status == Parked && s.Park == d.Park && c.Now.Before(s.ParkedUntil):
		return Decision{Verb: Wait, Delay: s.ParkedUntil.Sub(c.Now)}
	case s.Status == Parked && s.Park == d.Park:
		return Decision{Verb: AppendAndDrive, Events: []*messages.Event{resumed(d, "wake")}}
	// R5.4
	case s.Status == Parked:
		return Decision{Verb: Reschedule}
	// R5.5
	default:
		return Decision{Verb: Ack}
	}
}

// recording is the event that makes an inbox message part of the history.
func recording(d *messages.Delivery) *messages.Event {
	switch d.Type {
	case messages.TypeCancel:
		return cancelRequested(&messages.CancelRequested{Source: d.Source(), Reason: d.Cancel.GetReason()})
	case messages.TypeSignal:
		return signalled(&messages.Signalled{Source: d.Source(), Name: d.Signal.GetName(), Data: d.Signal.GetData()})
	default:
		return recorded(&messages.MessageRecorded{Source: d.Source(), Type: string(d.Type)})
	}
}

// cause is the word in OrderResumed for a message that wakes an order.
func cause(t messages.Type) string {
	switch t {
	case messages.TypeCancel:
		return "cancel"
	case messages.TypeSignal:
		return "signal"
	case messages.TypeSkip:
		return "skip"
	default:
		return "retry"
	}
}
