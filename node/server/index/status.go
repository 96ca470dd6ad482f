package index

import (
	"fmt"
	"slices"
	"strings"

	"github.com/orderly-engine/orderly/actors/order"
)

// Status of an order. The numbers are those in the database: they do not change without another schema version.
type Status uint8

// The statuses.
const (
	Running Status = iota
	Compensating
	Parked
	Attention
	Completed
	Rejected
	Cancelled
)

var statusNames = []string{
	Running: order.Running.String(), Compensating: order.Compensating.String(), Parked: order.Parked.String(),
	Attention: order.Attention.String(), Completed: order.Completed.String(), Rejected: order.Rejected.String(),
	Cancelled: order.Cancelled.String(),
}

func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return "unknown"
}

// active reports whether a delivery drives the order.
func (s Status) active() bool { return s == Running || s == Compensating }

// ended reports whether the order has ended.
func (s Status) ended() bool { return s >= Completed }

// parseStatus reads a name; the error wraps ErrQuery.
func parseStatus(name string) (Status, error) {
	i := slices.Index(statusNames, name)
	if i < 0 {
		last := len(statusNames) - 1
		return 0, fmt.Errorf("%w: status %.40q: want %s or %s", ErrQuery, name, strings.Join(statusNames[:last], ", "), statusNames[last])
	}
	return Status(i), nil
}
