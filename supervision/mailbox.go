package supervision

import (
	"sync"

	"github.com/asynkron/protoactor-go/actor"
)

// mailbox is the mailbox of an order actor: unbounded and with system messages first, like protoactor's own, but without
// an allocation for the few messages an order actor gets in its life. It differs in three ways. An actor that has
// panicked gets no further user message, where protoactor's may pass one on before it is suspended. Started alone
// wakes no goroutine: a delivery follows it at once. And a MessageBatch is a message like any other.
type mailbox struct {
	invoker    actor.MessageInvoker
	dispatcher actor.Dispatcher
	// handle is the method value of process, made once.
	handle func()

	mu           sync.Mutex
	system, user queue
	// running: a goroutine handles messages, or is on its way.
	running   bool
	suspended bool
}

var _ actor.Mailbox = (*mailbox)(nil)

func (m *mailbox) RegisterHandlers(invoker actor.MessageInvoker, dispatcher actor.Dispatcher) {
	m.invoker, m.dispatcher = invoker, dispatcher
	m.handle = m.process
}

func (m *mailbox) Start() {}

func (m *mailbox) UserMessageCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.user.len()
}

func (m *mailbox) PostUserMessage(message any) {
	m.mu.Lock()
	m.user.push(message)
	wake := !m.running && !m.suspended
	m.running = m.running || wake
	m.mu.Unlock()
	if wake {
		m.dispatcher.Schedule(m.handle)
	}
}

func (m *mailbox) PostSystemMessage(message any) {
	_, started := message.(*actor.Started)
	m.mu.Lock()
	m.system.push(message)
	wake := !m.running && !started
	m.running = m.running || wake
	m.mu.Unlock()
	if wake {
		m.dispatcher.Schedule(m.handle)
	}
}

// process handles messages until there is none that may be handled.
func (m *mailbox) process() {
	for !m.drain() {
	}
}

// drain handles messages and reports whether none is left; false means that one of them panicked.
func (m *mailbox) drain() bool {
	var message any
	defer func() {
		if reason := recover(); reason != nil {
			m.mu.Lock()
			m.suspended = true
			m.mu.Unlock()
			m.invoker.EscalateFailure(reason, message)
		}
	}()
	for {
		var system bool
		if message, system = m.next(); message == nil {
			return true
		}
		if system {
			m.invoker.InvokeSystemMessage(message)
		} else {
			m.invoker.InvokeUserMessage(message)
		}
	}
}

// next takes the next message; nil ends the run.
func (m *mailbox) next() (message any, system bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.system.len() > 0 {
		switch message := m.system.pop().(type) {
		case *actor.SuspendMailbox:
			m.suspended = true
		case *actor.ResumeMailbox:
			m.suspended = false
		default:
			return message, true
		}
	}
	if !m.suspended && m.user.len() > 0 {
		return m.user.pop(), false
	}
	m.running = false
	return nil, false
}

// queue is first in, first out. The zero value is empty and holds a few messages without another allocation.
type queue struct {
	items []any
	head  int
	few   [3]any
}

func (q *queue) len() int { return len(q.items) - q.head }

func (q *queue) push(message any) {
	if q.items == nil {
		q.items = q.few[:0]
	}
	if len(q.items) == cap(q.items) && 2*q.head >= len(q.items) {
		// More than half is used up: move the rest down instead of growing.
		rest := copy(q.items, q.items[q.head:])
		clear(q.items[rest:])
		q.items, q.head = q.items[:rest], 0
	}
	q.items = append(q.items, message)
}

func (q *queue) pop() any {
	message := q.items[q.head]
	q.items[q.head] = nil
	if q.head++; q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	return message
}
