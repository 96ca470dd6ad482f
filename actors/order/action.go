package order

import (
	"fmt"
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// decideFunc is the answer of a row of the table.
type decideFunc func(*State, *delivery.Delivery, Env) Decision

// Delays of deliveries that cannot be decided yet.
const (
	predecessorDelay = 250 * time.Millisecond
	// firstStash is how long a message that precedes its order is stashed at first; each further time it doubles the wait.
	firstStash = 25 * time.Millisecond
	// firstAwait is the first redelivery delay of a message that precedes its order, and maxAwaitDoubled how often it is doubled
	// at most. The last delay is longer by up to UnknownAge/awaitSpread.
	firstAwait      = time.Second
	maxAwaitDoubled = 20
	awaitSpread     = 4
	// maxEarlyWait is the longest delay of a wake-up that is too early by this clock: this clock may be wrong, and the next
	// delivery may come to another node.
	maxEarlyWait = time.Minute
	// lateAfter is the age from which a created message counts as delivered late. Messages stored after a younger one are
	// delivered about as soon as it was.
	lateAfter = 2 * time.Second
)

func ack(*State, *delivery.Delivery, Env) Decision { return Decision{Action: Ack} }

func drive(*State, *delivery.Delivery, Env) Decision { return Decision{Action: Drive} }

func reschedule(*State, *delivery.Delivery, Env) Decision {
	return Decision{Action: Reschedule}
}

func drop(*State, *delivery.Delivery, Env) Decision { return Decision{Action: Drop} }

func checkPredecessors(*State, *delivery.Delivery, Env) Decision {
	return Decision{Action: CheckPredecessors}
}

func readInbox(*State, *delivery.Delivery, Env) Decision { return Decision{Action: ReadInbox} }

// accept is the first entry of an order. An invalid order is accepted and rejected in one entry, one that was cancelled
// before it was accepted and cancelled.
func accept(s *State, d *delivery.Delivery, e Env) Decision {
	events := []*messages.Event{accepted(&messages.OrderAccepted{
		Order: d.Created, Plan: e.Plan, Driver: d.Source(), Incarnation: d.Incarnation,
	})}
	if d.Invalid != nil {
		return Decision{Action: AppendAndAck, Events: append(events, rejected("invalid", clip(d.Invalid.Error())))}
	}
	if waiting := waitingFor(d, e); len(waiting) > 0 {
		events = s.withEnd(append(events, waiting...)...)
		if events[len(events)-1].GetCancelled() != nil {
			return Decision{Action: AppendAndAck, Events: events}
		}
	}
	return Decision{Action: AppendAndDrive, Events: events}
}

// waitingFor records what the inbox stores about the order, in its order. It ends before a message that may be about to be
// dead-lettered, because it was too old when the created message was stored, by a clock that may be ahead by half of
// UnknownAge (R8). A message after the created one is never dead-lettered: there is room for that many signals.
func waitingFor(d *delivery.Delivery, e Env) (events []*messages.Event) {
	if n := len(e.Inbox); n == 0 || e.Inbox[n-1].Sequence < d.Sequence {
		// So many precede the created message that a search for it may have ended before it.
		return nil
	}
	for _, m := range e.Inbox {
		switch {
		case m.Type == messages.TypeCreated:
		case m.Sequence < d.Sequence && d.Stored.Sub(m.Stored) > e.UnknownAge/2:
			return events
		default:
			events = append(events, recording(m))
		}
	}
	return events
}

// causeRestart is the cause in OrderResumed for a delivery that takes over from itself: its actor failed.
const causeRestart = "restart"

// takeOver fences the delivery that drove the order before.
func takeOver(s *State, d *delivery.Delivery, _ Env) Decision {
	cause := "takeover"
	if d.Renews(s.Owner) {
		cause = causeRestart
	}
	return Decision{Action: AppendAndDrive, Events: []*messages.Event{resumed(d, cause)}}
}

// resume ends a park whose timer fired.
func resume(_ *State, d *delivery.Delivery, _ Env) Decision {
	return Decision{Action: AppendAndDrive, Events: []*messages.Event{resumed(d, "wake")}}
}

// recordAndResume records the message and makes it the driver of an order that is parked or in attention.
func recordAndResume(_ *State, d *delivery.Delivery, _ Env) Decision {
	return Decision{Action: AppendAndDrive, Events: []*messages.Event{recording(d), resumed(d, cause(d.Type))}}
}

// record makes the message part of the history, where the driver finds it.
func record(_ *State, d *delivery.Delivery, _ Env) Decision {
	return Decision{Action: AppendAndAck, Events: []*messages.Event{recording(d)}}
}

func redeliverAfterPredecessor(s *State, d *delivery.Delivery, e Env) Decision {
	if s.Status == None {
		return stashUntilStarted(s, d, e)
	}
	return Decision{Action: Redeliver, Delay: predecessorDelay}
}

func redeliverStale(*State, *delivery.Delivery, Env) Decision {
	return Decision{Action: Redeliver, Delay: predecessorDelay}
}

// stashUntilStarted stashes a message that precedes its order for as long as there certainly is no other delivery of it, so that
// it takes effect before the first step. After that it is redelivered: see awaitOrder.
func stashUntilStarted(s *State, d *delivery.Delivery, e Env) Decision {
	waited := max(e.held(d), 0)
	left := e.exclusiveFor()*3/4 - waited
	if left <= 0 {
		return awaitOrder(s, d, e)
	}
	return Decision{Action: Stash, Delay: min(max(waited, firstStash), left)}
}

// awaitOrder has a message that precedes its order redelivered ever later, until it is too old. An acceptance of the order finds
// it in the inbox. Many that were stored together become too old at different times.
func awaitOrder(_ *State, d *delivery.Delivery, e Env) Decision {
	delay := firstAwait << min(max(d.Deliveries, 1)-1, maxAwaitDoubled)
	spread := time.Duration(e.Jitter * float64(e.UnknownAge) / awaitSpread)
	switch left := e.UnknownAge - age(d, e.Now); {
	case left <= 0 && e.SearchFull:
		delay = firstAwait + spread
	case left <= 0:
		delay = predecessorDelay
	case delay >= left:
		delay = max(left+spread, predecessorDelay)
	}
	return Decision{Action: Await, Delay: delay}
}

func redeliverWhenDue(s *State, _ *delivery.Delivery, e Env) Decision {
	return Decision{Action: Redeliver, Delay: min(s.ParkedUntil.Sub(e.Now), maxEarlyWait)}
}

func deadLetterTaken(_ *State, d *delivery.Delivery, _ Env) Decision {
	return Decision{Action: DeadLetter, Reason: fmt.Sprintf("order %s exists with different content", d.OrderID)}
}

func deadLetterUnknown(_ *State, d *delivery.Delivery, e Env) Decision {
	return Decision{Action: DeadLetter, Reason: fmt.Sprintf("no such order: none was created within %s of this %s", e.UnknownAge, d.Type)}
}

func deadLetterGone(*State, *delivery.Delivery, Env) Decision {
	return Decision{Action: DeadLetter, Reason: "no such order: its history was deleted"}
}

func deadLetterExcess(_ *State, d *delivery.Delivery, _ Env) Decision {
	return Decision{Action: DeadLetter, Reason: fmt.Sprintf("too many signals: order %s keeps at most %d that no step waits for, with at most %d bytes together",
		d.OrderID, maxKept, maxKeptBytes)}
}

// recording is the event that makes an inbox message part of the history.
func recording(d *delivery.Delivery) *messages.Event {
	switch d.Type {
	case messages.TypeCancel:
		return cancelRequested(&messages.CancelRequested{Source: d.Source(), Reason: d.Cancel.GetReason()})
	case messages.TypeSignal:
		return signalled(&messages.Signalled{Source: d.Source(), Name: d.Signal.GetName(), Data: d.Signal.GetData()})
	default:
		return recorded(&messages.MessageRecorded{Source: d.Source(), Type: string(d.Type)})
	}
}

// cause is the cause in OrderResumed for a message that wakes an order.
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
