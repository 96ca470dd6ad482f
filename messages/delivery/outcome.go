package delivery

import (
	"fmt"
	"time"
)

// Verdict is the kind of an outcome.
type Verdict uint8

// How a delivery can end.
const (
	// Done: what it caused is in the journal; acknowledge.
	VerdictDone Verdict = iota + 1
	// Later: deliver again after a delay.
	VerdictLater
	// Dead: store a dead letter, then terminate.
	VerdictDead
	// Dropped: another holder is ahead; settle nothing, give no sign of life (R4).
	VerdictDropped
)

// Outcome is how a delivery ends; exactly one per delivery.
type Outcome struct {
	Verdict Verdict
	Delay   time.Duration
	Reason  string
}

// Done ends a delivery whose effects are all in the journal.
func Done() Outcome { return Outcome{Verdict: VerdictDone} }

// Later asks for another delivery after d.
func Later(d time.Duration) Outcome { return Outcome{Verdict: VerdictLater, Delay: d} }

// Dead moves the message to the dead letters, with the reason.
func Dead(reason string) Outcome { return Outcome{Verdict: VerdictDead, Reason: reason} }

// Dropped lets go of a delivery that another holder has overtaken.
func Dropped() Outcome { return Outcome{Verdict: VerdictDropped} }

func (o Outcome) String() string {
	switch o.Verdict {
	case VerdictDone:
		return "done"
	case VerdictLater:
		return fmt.Sprintf("later(%s)", o.Delay)
	case VerdictDead:
		return fmt.Sprintf("dead(%s)", o.Reason)
	case VerdictDropped:
		return "dropped"
	}
	return fmt.Sprintf("outcome(%d)", o.Verdict)
}
