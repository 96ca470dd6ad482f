package delivery

import (
	"fmt"
	"time"
)

// OutcomeKind is the way in which a delivery is settled.
type OutcomeKind uint8

// Kinds of outcomes.
const (
	// OutcomeDone: acknowledge; everything it caused is in the journal. Without effect: once the ledger has the message.
	OutcomeDone OutcomeKind = iota + 1
	// OutcomeLater: nak with Delay.
	OutcomeLater
	// OutcomeDead: store a dead letter with Reason, then terminate the message.
	OutcomeDead
	// OutcomeDropped: neither ack nor nak, and stop extending it: another delivery of the message took over (R4).
	OutcomeDropped
)

// Outcome is how a delivery is settled; exactly one per delivery.
type Outcome struct {
	Kind   OutcomeKind
	Delay  time.Duration
	Reason string
	// WithoutEffect: the message is done, and the journal does not name it.
	WithoutEffect bool
}

// Done acknowledges a message that the journal names, or a wake-up.
func Done() Outcome { return Outcome{Kind: OutcomeDone} }

// DoneWithoutEffect acknowledges a message of the inbox that the journal does not name.
func DoneWithoutEffect() Outcome { return Outcome{Kind: OutcomeDone, WithoutEffect: true} }

// Later asks for a redelivery after d.
func Later(d time.Duration) Outcome { return Outcome{Kind: OutcomeLater, Delay: d} }

// Dead moves the message to the dead letters.
func Dead(reason string) Outcome { return Outcome{Kind: OutcomeDead, Reason: reason} }

// Dropped abandons the delivery.
func Dropped() Outcome { return Outcome{Kind: OutcomeDropped} }

func (o Outcome) String() string {
	switch o.Kind {
	case OutcomeDone:
		if o.WithoutEffect {
			return "done without effect"
		}
		return "done"
	case OutcomeLater:
		return fmt.Sprintf("later(%s)", o.Delay)
	case OutcomeDead:
		return fmt.Sprintf("dead(%s)", o.Reason)
	case OutcomeDropped:
		return "dropped"
	}
	return fmt.Sprintf("outcome(%d)", o.Kind)
}
