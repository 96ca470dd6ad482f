package delivery

import (
	"fmt"
	"time"
)

// Verdict is the kind of an outcome.
type OutcomeKind uint8

// How a delivery can end.
const (
	// Done: what it caused is in the journal; acknowledge.
	OutcomeDone OutcomeKind = iota + 1
	// Later: deliver again after a delay.
	OutcomeLater
	// Dead: store a dead letter, then terminate.
	OutcomeDead
	// Dropped: another holder is ahead; settle nothing, give no sign of life (R4).
	OutcomeDropped
)

// Outcome is how a delivery ends; exactly one per delivery.
type Outcome struct {
	Kind   OutcomeKind
	Delay  time.Duration
	Reason string
}

// Done ends a delivery whose effects are all in the journal.
func Done() Outcome { return Outcome{Kind: OutcomeDone} }

// Later asks for another delivery after d.
func Later(d time.Duration) Outcome { return Outcome{Kind: OutcomeLater, Delay: d} }

// Dead moves the message to the dead letters, with the reason.
func Dead(reason string) Outcome { return Outcome{Kind: OutcomeDead, Reason: reason} }

// Dropped lets go of a delivery that another holder has overtaken.
func Dropped() Outcome { return Outcome{Kind: OutcomeDropped} }

func (o Outcome) String() string {
	switch o.Kind {
	case OutcomeDone:
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
