package journal

import (
	"fmt"
	"strings"
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// Entry is one stored entry of an order.
type Entry struct {
	// Sequence in the journal; the fence of the order's next append.
	Sequence uint64
	// Time at which it was stored, by the server's clock; zero if the read returns no headers.
	Time  time.Time
	Entry *messages.JournalEntry
}

// decode reads a stored body; the error wraps a delivery.Failure of kind Poison.
func decode(id messages.OrderID, sequence uint64, body []byte) (*messages.JournalEntry, error) {
	e, err := unmarshal(body)
	if err != nil {
		return nil, poison(id, sequence, err)
	}
	if e.GetOrderId() != string(id) {
		return nil, poison(id, sequence, fmt.Errorf("it belongs to order %q", e.GetOrderId()))
	}
	return e, nil
}

func poison(id messages.OrderID, sequence uint64, err error) error {
	return fmt.Errorf("journal entry of order %s at sequence %d is unusable, and the order cannot be read with it: if no node wrote it, remove it with \"nats stream rmm %s %[2]d\": %[4]w",
		id, sequence, messages.StreamEvents, &delivery.Failure{Kind: messages.Poison, Err: err})
}

// Kinds lists the kinds of the entry's events in order, for the header Orderly-Event.
func Kinds(e *messages.JournalEntry) string {
	switch events := e.GetEvents(); len(events) {
	case 0:
		return ""
	case 1:
		return messages.KindOf(events[0])
	case 2:
		first, second := messages.KindOf(events[0]), messages.KindOf(events[1])
		if first == messages.KindStepCompleted && second == messages.KindCompleted {
			return messages.KindStepCompleted + "," + messages.KindCompleted
		}
		return first + "," + second
	default:
		kinds := make([]string, len(events))
		for i, event := range events {
			kinds[i] = messages.KindOf(event)
		}
		return strings.Join(kinds, ",")
	}
}
