package delivery

import (
	"time"

	"github.com/orderly-engine/orderly/messages"
)

// History is what a policy knows of a failure besides its kind.
type History struct {
	// Attempts counts the failed attempts in a row, this one included.
	Attempts int
	// Retry is the step's own policy; nil for failures outside a step.
	Retry *messages.Retry
	// After is the shortest delay the downstream asked for (Retry-After), or 0.
	After time.Duration
	// Direction of the step call that failed.
	Direction messages.Direction
}

// Action is what a policy tells the order to do.
type Action uint8

// The actions of a directive.
const (
	// ActRestart: attempt again after Delay, waiting in memory.
	ActRestart Action = iota + 1
	// ActPark: attempt again after Delay, waiting in the journal.
	ActPark
	// ActCompensate: undo what was done.
	ActCompensate
	// ActAttention: rest until a person decides.
	ActAttention
	// ActDead: move the message to the dead letters.
	ActDead
	// ActDrop: let go, settle nothing.
	ActDrop
	// ActEscalate: the subsystem itself is sick; the node must stop.
	ActEscalate
)

// Directive answers a failure.
type Directive struct {
	Action Action
	Delay  time.Duration
}

// Policy maps a failure to a directive. It is pure but for the jitter it draws.
type Policy func(kind messages.FailureKind, h History) Directive
