package order

import (
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// Action is the decision about a delivery.
type Action uint8

// The actions.
const (
	// Ack: its effects are in the journal.
	Ack Action = iota + 1
	// Drive: the journal already names this delivery as the owner; continue driving.
	Drive
	// AppendAndDrive: append Events, then drive the order by this delivery.
	AppendAndDrive
	// AppendAndAck: append Events, then acknowledge.
	AppendAndAck
	// Reschedule: schedule the timer of the current park again, then acknowledge.
	Reschedule
	// Redeliver: nak with Delay.
	Redeliver
	// Await: nak with Delay, because there is no order.
	Await
	// Stash: hold the delivery, and decide again when the order has started, or after Delay.
	Stash
	// DeadLetter: dead letter with Reason.
	DeadLetter
	// Drop: neither acknowledge nor nak; the message is redelivered when the acknowledgement wait is over.
	Drop
	// CheckPredecessors: find out whether an earlier message of the order is stored and not recorded, and decide again.
	CheckPredecessors
	// ReadInbox: read what the inbox stores about the order, and decide again.
	ReadInbox
)

// Decision answers a delivery.
type Decision struct {
	// Rule names the row of the table that decided.
	Rule   string
	Action Action
	Events []*messages.Event
	Delay  time.Duration
	Reason string
}

// Predecessors is the result of the search for earlier messages of the order in the inbox.
type Predecessors uint8

// The values of Predecessors.
const (
	PredecessorsUnknown Predecessors = iota
	// PredecessorsPending: an earlier message is stored and not recorded.
	PredecessorsPending
	// PredecessorsNone: no earlier message is stored and not recorded.
	PredecessorsNone
	// PredecessorsNoneCreatedFollows: the same, and a later message, which is stored, creates the order.
	PredecessorsNoneCreatedFollows
)

// Env holds the external inputs of decisions.
type Env struct {
	// Now is the time of the streams. Local is the time by the clock by which deliveries are received; zero: Now.
	Now, Local time.Time
	// Plan is pinned to an order that is accepted now.
	Plan *messages.Plan
	// UnknownAge is how long a message about an order that does not exist is kept.
	UnknownAge   time.Duration
	Predecessors Predecessors
	// SearchedAt is when the search for Predecessors began; zero: now.
	SearchedAt time.Time
	// OthersWait: other messages about the order may be stored, because this node holds some, or because messages wait for
	// orders that do not exist.
	OthersWait bool
	// StashFull: this node stashes no more messages.
	StashFull bool
	// SearchFull: this node searches the inbox for no more messages about orders that do not exist.
	SearchFull bool
	// Inbox are the first messages about the order that the inbox stores, oldest first; nil: the inbox has not been read.
	Inbox []*delivery.Delivery
	// ExclusiveFor is how long after its receipt a delivery is certainly the only one of its message: less than the
	// acknowledgement wait, which must pass before there is another. 0: DefaultExclusiveFor.
	ExclusiveFor time.Duration
	// Hold is the longest wait for the next attempt of a step in memory; longer ones park the order.
	Hold time.Duration
	// Jitter spreads retries, uniform in [0,1).
	Jitter float64
}

func (e Env) exclusiveFor() time.Duration {
	if e.ExclusiveFor == 0 {
		return DefaultExclusiveFor
	}
	return e.ExclusiveFor
}

// held is how long the delivery has been held.
func (e Env) held(d *delivery.Delivery) time.Duration {
	if e.Local.IsZero() {
		return e.Now.Sub(d.Received)
	}
	return e.Local.Sub(d.Received)
}

// Expired reports whether a message about an unknown order has waited for longer than unknownAge. The wait begins when the
// message is stored, or later, when the node that holds it began to receive.
func Expired(d *delivery.Delivery, now time.Time, unknownAge time.Duration) bool {
	return age(d, now) > unknownAge
}

// age is how long a message has waited for its order.
func age(d *delivery.Delivery, now time.Time) time.Duration {
	return now.Sub(d.Stored) - d.Unreceivable
}

// DefaultExclusiveFor is a third of the default acknowledgement wait, less the time in which a busy node learns of a delivery.
const DefaultExclusiveFor = time.Second

// Receive decides about a delivery by the state of its order: the first row of the table whose facts are true applies.
func Receive(s *State, d *delivery.Delivery, e Env) Decision {
	f := gather(s, d, e)
	i := 0
	// The last row has no condition.
	for !f.has(table[i].when) {
		i++
	}
	decision := table[i].decide(s, d, e)
	decision.Rule = table[i].rule
	return decision
}
