package messages

import "time"

// Timer wakes a parked order.
type Timer struct {
	OrderID OrderID
	// Park is the journal sequence of the OrderParked it ends.
	Park uint64
	At   time.Time
	// Snapshot is an encoded Snapshot of the order, or empty.
	Snapshot []byte
	// Traceparent is the W3C trace context of who parked the order, or empty.
	Traceparent string
}
