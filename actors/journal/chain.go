package journal

import (
	"fmt"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

// Chain finds the entries of one order among all messages on its subject. Others may store messages there: JetStream itself
// does when a publisher names the subject as the reply subject of its message.
type Chain struct {
	id messages.OrderID
	// number and last are the number and the sequence of the last entry.
	number, last uint64
}

// NewChain returns the chain of an order, before its first message.
func NewChain(id messages.OrderID) *Chain { return &Chain{id: id} }

// Take returns the entry that the next message of the subject is. Its error says why the message is none: pass it over. An
// entry whose predecessor is missing is returned; the fold refuses it.
func (c *Chain) Take(s *natsclient.StoredMsg) (Entry, error) {
	expected, ok := messages.Fence(s.Headers())
	if !ok {
		return Entry{}, errNoFence
	}
	e, err := entryOf(c.id, s)
	if err != nil {
		return Entry{}, err
	}
	link := messages.Link{Number: uint64(e.Entry.GetNumber()), Previous: e.Entry.GetPrevious(), Expected: expected}
	if link.After(c.number, c.last) == messages.Foreign {
		return Entry{}, fmt.Errorf("entry %d after sequence %d does not follow entry %d at %d", link.Number, link.Previous, c.number, c.last)
	}
	c.number, c.last = link.Number, e.Sequence
	return e, nil
}

var errNoFence = fmt.Errorf("headers %s and %s are missing", messages.HeaderEvent, messages.HeaderExpected)

// entryOf decodes an entry of the order.
func entryOf(id messages.OrderID, s *natsclient.StoredMsg) (Entry, error) {
	e, err := unmarshal(s.Data)
	if err != nil {
		return Entry{}, fmt.Errorf("not a journal entry: %w", err)
	}
	if e.GetOrderId() != string(id) {
		return Entry{}, fmt.Errorf("it belongs to order %q", e.GetOrderId())
	}
	return Entry{Sequence: s.Sequence, Time: s.Time, Entry: e}, nil
}
