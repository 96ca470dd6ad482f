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

var words = []string{
	Running: order.Running.String(), Compensating: order.Compensating.String(), Parked: order.Parked.String(),
	Attention: order.Attention.String(), Completed: order.Completed.String(), Rejected: order.Rejected.String(),
	Cancelled: order.Cancelled.String(),
}

func (s Status) String() string {
	if int(s) < len(words) {
		return words[s]
	}
	return "unknown"
}

// moving reports whether some delivery carries the order on.
func (s Status) moving() bool { return s == Running || s == Compensating }

// Words lists the statuses an order in the index can have.
func Words() []string { return slices.Clone(words) }

// parseStatus reads a word; the error wraps ErrQuery.
func parseStatus(word string) (Status, error) {
	i := slices.Index(words, word)
	if i < 0 {
		last := len(words) - 1
		return 0, fmt.Errorf("%w: status %.40q: want %s or %s", ErrQuery, word, strings.Join(words[:last], ", "), words[last])
	}
	return Status(i), nil
}
