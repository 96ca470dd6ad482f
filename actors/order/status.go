package order

import "slices"

// Status is the phase of an order's life.
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

var statusWords = [...]string{"none", "running", "compensating", "parked", "attention", "completed", "rejected", "cancelled"}

func (s Status) String() string {
	if int(s) < len(statusWords) {
		return statusWords[s]
	}
	return "unknown"
}

// statusOf is the status of that word; None if there is no such.
func statusOf(word string) Status {
	return Status(max(0, slices.Index(statusWords[:], word)))
}

// Terminal reports whether nothing can happen to the order any more.
func (s Status) Terminal() bool { return s >= Completed }

// Driven reports whether some delivery carries the order forward.
func (s Status) Driven() bool { return s == Running || s == Compensating }
