package messages

import "time"

// Timer is the durable timer of a parked order.
type Timer struct {
	OrderID OrderID
	// Park is the journal sequence of the OrderParked event that it ends.
	Park uint64
	// At is when it fires.
	At time.Time
	// Snapshot is an encoded Snapshot of the order, or empty: then the journal is read.
	Snapshot []byte
	// Traceparent is the W3C trace context in which the order parked, or empty.
	Traceparent string
}
