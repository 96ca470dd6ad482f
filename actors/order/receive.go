package order

import (
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
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
	// Keep: hold the delivery, and decide again when the order has begun, or after Delay.
	Keep
	// Bury: dead letter with Reason.
	Bury
	// LetGo: settle nothing; the message comes again when the acknowledgement wait is over.
	LetGo
	// AskEarlier: find out whether an earlier message of the order is stored and not recorded, and decide again.
	AskEarlier
)

// Decision answers a delivery.
type Decision struct {
	// Rule names the row of the table that decided.
	Rule   string
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
	// acknowledgement wait, which must pass before there is another. 0: DefaultAlone.
	Alone time.Duration
}

func (c Circumstances) alone() time.Duration {
	if c.Alone == 0 {
		return DefaultAlone
	}
	return c.Alone
}

// DefaultAlone is a third of the default acknowledgement wait, less what a busy node may need to be told of a delivery.
const DefaultAlone = time.Second

// Receive decides what a delivery means, given all that the journal tells of its order: the first row of the table whose
// facts are true answers.
func Receive(s *State, d *delivery.Delivery, c Circumstances) Decision {
	f := gather(s, d, c)
	i := 0
	// The last row asks for nothing.
	for !f.has(table[i].when) {
		i++
	}
	decision := table[i].then(s, d, c)
	decision.Rule = table[i].rule
	return decision
}
