package journal

import (
	"strings"
	"time"

	"github.com/orderly-engine/orderly/messages"
)

// Entry is one stored entry of an order.
type Entry struct {
	// Sequence in the journal.
	Sequence uint64
	// Time at which it was stored, by the server's clock; zero if the read returns no headers.
	Time  time.Time
	Entry *messages.JournalEntry
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
