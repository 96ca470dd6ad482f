package messages

import (
	"errors"
	"fmt"
)

// MaxOrderIDLen is the longest order id, in characters.
const MaxOrderIDLen = 64

// ErrOrderID is wrapped by every error about an order id.
var ErrOrderID = errors.New("order id")

// OrderID is the id of an order: 1–64 characters of A–Z a–z 0–9 _ -, one token of a NATS subject.
type OrderID string

// ParseOrderID returns s as an id. The error wraps ErrOrderID and says what is allowed.
func ParseOrderID(s string) (OrderID, error) {
	if s == "" {
		return "", fmt.Errorf("%w is missing: want 1–%d characters of A–Z a–z 0–9 _ -", ErrOrderID, MaxOrderIDLen)
	}
	if len(s) > MaxOrderIDLen {
		return "", fmt.Errorf("%w has %d characters: at most %d are allowed", ErrOrderID, len(s), MaxOrderIDLen)
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return "", fmt.Errorf("%w %q has a character outside A–Z a–z 0–9 _ -", ErrOrderID, s)
		}
	}
	return OrderID(s), nil
}

// IdempotencyKey returns the key of a step call: the same for every attempt on every node.
func IdempotencyKey(id OrderID, step string, d Direction) string {
	return string(id) + "/" + step + "/" + d.Label()
}

// Label returns "do" or "undo", as in keys and requests.
func (d Direction) Label() string {
	if d == Undo {
		return "undo"
	}
	return "do"
}

// The directions of a step call.
const (
	Do   = Direction_DIRECTION_DO
	Undo = Direction_DIRECTION_UNDO
)
