package enginetest

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// store is the inbox and the timers, in memory. Killed nodes do not affect it.
type store struct {
	mu sync.Mutex
	// sequence is that of the latest message.
	sequence uint64
	// messages are stored in the inbox or as wake-ups, and not settled.
	messages []*message
	timers   map[messages.OrderID]messages.Timer
	dead     []DeadLetter
	// deliveries counts all deliveries.
	deliveries int
}

// message is one stored message.
type message struct {
	delivery.Delivery
	// held by the node; otherwise it is delivered when it is due.
	held bool
	due  time.Time
}

// DeadLetter is a message that could not take effect.
type DeadLetter struct{ OrderID, Type, Reason string }

// publish stores a message.
func (s *store) publish(m *message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sequence++
	m.Sequence, m.Stored, m.due = s.sequence, time.Now(), time.Now()
	s.messages = append(s.messages, m)
}

// firstStored is the order's first message in the inbox at or after from.
func (s *store) firstStored(id messages.OrderID, from uint64) (messages.StoredMessage, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.messages {
		if m.OrderID == id && m.Stream == messages.StreamOrders && m.Sequence >= from {
			return messages.StoredMessage{Sequence: m.Sequence, Type: m.Type}, true
		}
	}
	return messages.StoredMessage{}, false
}

// storedAbout are the messages of the order in the inbox, oldest first.
func (s *store) storedAbout(id messages.OrderID) []*delivery.Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	stored := []*delivery.Delivery{}
	for _, m := range s.messages {
		if m.OrderID == id && m.Stream == messages.StreamOrders {
			d := m.Delivery
			stored = append(stored, &d)
		}
	}
	return stored
}

func (s *store) schedule(t messages.Timer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timers[t.OrderID] = t
}

// take returns deliveries of the messages that are due, and of due wake-ups.
func (s *store) take() (due []*delivery.Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for id, t := range s.timers {
		if !t.At.After(now) {
			delete(s.timers, id)
			s.sequence++
			s.messages = append(s.messages, &message{Delivery: delivery.Delivery{
				OrderID: id, Type: messages.TypeWake, Stream: messages.StreamTimers, Sequence: s.sequence, Stored: now,
				Park: t.Park, Snapshot: t.Snapshot,
			}, due: now})
		}
	}
	for _, m := range s.messages {
		if m.held || m.due.After(now) {
			continue
		}
		s.deliveries++
		m.held = true
		m.Deliveries++
		d := m.Delivery
		d.Received, d.Incarnation = now, fmt.Sprintf("delivery %d", s.deliveries)
		due = append(due, &d)
	}
	return due
}

// settle applies an outcome.
func (s *store) settle(d *delivery.Delivery, o delivery.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.messages, func(m *message) bool { return m.Stream == d.Stream && m.Sequence == d.Sequence })
	if i < 0 {
		return
	}
	switch m := s.messages[i]; o.Kind {
	case delivery.OutcomeLater:
		m.held, m.due = false, time.Now().Add(o.Delay)
	case delivery.OutcomeDropped:
		m.held, m.due = false, time.Now().Add(ackWait)
	case delivery.OutcomeDead:
		s.dead = append(s.dead, DeadLetter{string(d.OrderID), string(d.Type), o.Reason})
		fallthrough
	default:
		s.messages = slices.Delete(s.messages, i, i+1)
	}
}

// release makes the messages of a killed node due at the end of their acknowledgement wait.
func (s *store) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.messages {
		if m.held {
			m.held, m.due = false, time.Now().Add(ackWait)
		}
	}
}

// next is when the next message or timer is due, or zero. Timers of orders that are skipped do not count.
func (s *store) next(skip func(messages.OrderID) bool) (at time.Time) {
	s.mu.Lock()
	var due []time.Time
	for _, m := range s.messages {
		if !m.held {
			due = append(due, m.due)
		}
	}
	timers := maps.Clone(s.timers)
	s.mu.Unlock()
	for id, t := range timers {
		if !skip(id) {
			due = append(due, t.At)
		}
	}
	if len(due) == 0 {
		return time.Time{}
	}
	return slices.MinFunc(due, time.Time.Compare)
}
