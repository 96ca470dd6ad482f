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
	StreamLedger = "ORDER_LEDGER"
	Consumer     = "orderly"
)

// Subject prefixes. The order id follows, one token.
const (
	SubjectOrder = "ORDER."
	SubjectEvent = "ORDER_EVENT."
	SubjectTimer = "ORDER_TIMER."
	SubjectWake  = "ORDER_WAKE."
	SubjectDead  = "ORDER_DEAD."
)

// SubjectPlan is the subject prefix of registered plans. The plan's name and version follow.
const SubjectPlan = "ORDER_PLAN."

// Subjects of the ledger.
const (
	SubjectLedger        = "ORDER_LEDGER."
	SubjectLedgerRecord  = SubjectLedger + "record"
	SubjectLedgerSummary = SubjectLedger + "summary"
)

// DeadUnknown takes the place of the order id in the subject of a dead letter without a valid one.
const DeadUnknown = "~"

// Headers of NATS messages. Keys are case-sensitive.
const (
	HeaderType        = "Orderly-Type"
	HeaderEvent       = "Orderly-Event"
	HeaderPark        = "Orderly-Park"
	HeaderContentType = "Content-Type"
	HeaderTraceparent = "traceparent"
	HeaderTracestate  = "tracestate"

	// Headers of a step request, over NATS and HTTP: what differs between attempts under one idempotency key is not in the body.
	HeaderIdempotencyKey = "Idempotency-Key"
	HeaderAttempt        = "Orderly-Attempt"
	HeaderFencingToken   = "Orderly-Fencing-Token"

	HeaderDeadReason   = "Orderly-Dead-Reason"
	HeaderDeadSubject  = "Orderly-Dead-Subject"
	HeaderDeadStream   = "Orderly-Dead-Stream"
	HeaderDeadSequence = "Orderly-Dead-Sequence"
)

// Limits on the size of messages about an order.
const (
	// MaxBody is the largest body that is accepted, in bytes.
	MaxBody = 256 << 10
	// MaxResults is the most data, in bytes of JSON text, that the results of an order have together.
	MaxResults = 512 << 10
	// MaxStored is the largest message that the inbox stream stores, in bytes. The server refuses larger ones; smaller ones with
	// a body above MaxBody are dead-lettered.
	MaxStored = 512 << 10
	// MinPayload is the least max_payload of a NATS server, in bytes. The largest message is the request of a step, with the
	// order, all results, and 16 KiB for names and headers.
	MinPayload = MaxBody + MaxResults + 16<<10
)

// IDFromSubject returns the order id that follows prefix in subject. The error wraps ErrOrderID.
func IDFromSubject(prefix, subject string) (OrderID, error) {
	token, ok := strings.CutPrefix(subject, prefix)
	if !ok {
		return "", fmt.Errorf("%w: subject %q does not begin with %q", ErrOrderID, subject, prefix)
	}
	return ParseOrderID(token)
}
