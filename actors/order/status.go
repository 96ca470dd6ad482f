package order

import "slices"

// Status is the phase of an order.
type Status uint8

// The phases. Completed, Rejected and Cancelled are final.
const (
	None Status = iota
	Running
	Compensating
	Parked
	Attention
	Completed
	Rejected
	Cancelled
)

var statusNames = [...]string{"none", "running", "compensating", "parked", "attention", "completed", "rejected", "cancelled"}

func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return "unknown"
}

// statusOf is the status of that name; None if there is none.
func statusOf(word string) Status {
	return Status(max(0, slices.Index(statusNames[:], word)))
}

// Terminal reports whether the order has ended.
func (s Status) Terminal() bool { return s >= Completed }

// Driven reports whether the order has a driver.
func (s Status) Driven() bool { return s == Running || s == Compensating }
