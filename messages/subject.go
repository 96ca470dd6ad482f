package messages

import (
	"fmt"
	"strings"
)

// Streams and the durable consumer that all nodes share.
const (
	StreamOrders = "ORDERS"
	StreamEvents = "ORDER_EVENTS"
	StreamTimers = "ORDER_TIMERS"
	StreamDead   = "ORDER_DEAD"
	StreamPlans  = "ORDER_PLANS"
	Consumer     = "orderly"
)

// Subject prefixes; one token, the order id, follows each.
const (
	SubjectOrder = "ORDER."
	SubjectEvent = "ORDER_EVENT."
	SubjectTimer = "ORDER_TIMER."
	SubjectWake  = "ORDER_WAKE."
	SubjectDead  = "ORDER_DEAD."
)

// SubjectPlan is the prefix of the registered plans' subjects; the plan's name and its version follow.
const SubjectPlan = "ORDER_PLAN."

// DeadUnknown stands for the order id of a dead letter that has no usable one; it can be no order's id.
const DeadUnknown = "~"

// Headers of the messages on the wire. Keys are case-sensitive.
const (
	HeaderType        = "Orderly-Type"
	HeaderEvent       = "Orderly-Event"
	HeaderPark        = "Orderly-Park"
	HeaderContentType = "Content-Type"
	HeaderTraceparent = "traceparent"
	HeaderTracestate  = "tracestate"

	HeaderDeadReason   = "Orderly-Dead-Reason"
	HeaderDeadSubject  = "Orderly-Dead-Subject"
	HeaderDeadStream   = "Orderly-Dead-Stream"
	HeaderDeadSequence = "Orderly-Dead-Sequence"
)

// Limits on what is taken in.
const (
	// MaxBody is the largest body of a message about an order, in bytes.
	MaxBody = 256 << 10
	// MaxStored is the largest message the inbox stores, in bytes: between the two a message is taken in and
	// dead-lettered, beyond it the server refuses the publish.
	MaxStored = 512 << 10
)

// IDFromSubject returns the order id that follows prefix in subject; the error wraps ErrOrderID.
func IDFromSubject(prefix, subject string) (OrderID, error) {
	token, ok := strings.CutPrefix(subject, prefix)
	if !ok {
		return "", fmt.Errorf("%w: subject %q does not begin with %q", ErrOrderID, subject, prefix)
	}
	return ParseOrderID(token)
}
