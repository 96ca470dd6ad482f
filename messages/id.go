package messages

import (
	"errors"
	"fmt"
)

// MaxOrderIDLen is the longest order id, in characters.
const MaxOrderIDLen = 64

// ErrOrderID is wrapped by every complaint about an order id.
var ErrOrderID = errors.New("order id")

// OrderID names an order: 1–64 characters of A–Z a–z 0–9 _ -. It is one token of a NATS subject.
type OrderID string

// ParseOrderID checks s and returns it as an id; the error wraps ErrOrderID and says what is allowed.
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

// IdempotencyKey is the key of a step call: the same for every attempt on every node.
func IdempotencyKey(id OrderID, step string, d Direction) string {
	return string(id) + "/" + step + "/" + d.Label()
}

// Word is "do" or "undo", as it appears in keys and requests.
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
