package journal

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
)

// Entry is one stored entry of an order.
type Entry struct {
	// Sequence in the journal; the fence of the order's next append.
	Sequence uint64
	// Time of storing, by the server's clock.
	Time  time.Time
	Entry *messages.JournalEntry
}

// Encode appends the encoded entry to dst.
func Encode(dst []byte, e *messages.JournalEntry) ([]byte, error) {
	body, err := proto.MarshalOptions{}.MarshalAppend(dst, e)
	if err != nil {
		return dst, fmt.Errorf("encode entry %d of order %s: %w", e.GetNumber(), e.GetOrderId(), err)
	}
	return body, nil
}

// decode reads a stored body; the error wraps a messages.Failure of kind Poison.
func decode(id messages.OrderID, sequence uint64, body []byte) (*messages.JournalEntry, error) {
	e := new(messages.JournalEntry)
	if err := proto.Unmarshal(body, e); err != nil {
		return nil, poison(id, sequence, err)
	}
	if e.GetOrderId() != string(id) {
		return nil, poison(id, sequence, fmt.Errorf("it is an entry of order %q", e.GetOrderId()))
	}
	return e, nil
}

func poison(id messages.OrderID, sequence uint64, err error) error {
	return fmt.Errorf("journal entry of order %s at sequence %d is unusable, inspect it in stream %s: %w",
		id, sequence, messages.StreamEvents, &messages.Failure{Kind: messages.Poison, Err: err})
}

// Kinds lists the kinds of the entry's events in order, for the header Orderly-Event.
func Kinds(e *messages.JournalEntry) string {
	switch events := e.GetEvents(); len(events) {
	case 0:
		return ""
	case 1:
		return kind(events[0])
	case 2:
		first, second := kind(events[0]), kind(events[1])
		if first == kindStepCompleted && second == kindCompleted {
			return kindStepCompleted + "," + kindCompleted
		}
		return first + "," + second
	default:
		words := make([]string, len(events))
		for i, event := range events {
			words[i] = kind(event)
		}
		return strings.Join(words, ",")
	}
}

const (
	kindStepCompleted = "step_completed"
	kindCompleted     = "completed"
)

func kind(e *messages.Event) string {
	switch e.GetKind().(type) {
	case *messages.Event_Accepted:
		return "accepted"
	case *messages.Event_StepCompleted:
		return kindStepCompleted
	case *messages.Event_StepFailed:
		return "step_failed"
	case *messages.Event_StepRejected:
		return "step_rejected"
	case *messages.Event_StepPending:
		return "step_pending"
	case *messages.Event_StepUndone:
		return "step_undone"
	case *messages.Event_CancelRequested:
		return "cancel_requested"
	case *messages.Event_Signalled:
		return "signalled"
	case *messages.Event_Parked:
		return "parked"
	case *messages.Event_Resumed:
		return "resumed"
	case *messages.Event_Attention:
		return "attention"
	case *messages.Event_Completed:
		return kindCompleted
	case *messages.Event_Rejected:
		return "rejected"
	case *messages.Event_Cancelled:
		return "cancelled"
	case *messages.Event_Recorded:
		return "recorded"
	}
	return "unknown"
}
