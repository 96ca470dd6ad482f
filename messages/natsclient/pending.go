package natsclient

import (
	"sync"
	"time"
)

// Token identifies one request of a Requester: a slot in the low half, its generation in the high half. No two requests of a
// Requester share a token, so a late or duplicate reply is dropped. The zero Token identifies none.
type Token uint64

func newToken(slot, generation uint32) Token { return Token(generation)<<32 | Token(slot) }
func (t Token) slot() uint32                 { return uint32(t) }
func (t Token) generation() uint32           { return uint32(t >> 32) }

// pending is the table of requests in flight.
type pending struct {
	mu     sync.Mutex
	slots  []slot
	free   []uint32
	closed bool
}

type slot struct {
	handler    Handler
	generation uint32
	// many: the request may have several replies; each renews the deadline.
	many bool
	// busy counts the goroutines that use the handler: the one that publishes, which reads data of the handler, and the one
	// that passes a reply to it. While it is not 0 the request may not be cancelled.
	busy int
	// cancelled: the request was cancelled while it was busy; it ends when busy is 0.
	cancelled bool
	// deadline by the Requester's clock.
	deadline time.Duration
}

// add begins a request. It returns 0 if the table is closed.
func (p *pending) add(h Handler, many bool, deadline time.Duration) Token {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0
	}
	var i uint32
	if n := len(p.free); n > 0 {
		i = p.free[n-1]
		p.free = p.free[:n-1]
	} else {
		i = uint32(len(p.slots))
		p.slots = append(p.slots, slot{})
	}
	s := &p.slots[i]
	s.generation++
	s.handler, s.many, s.busy, s.cancelled, s.deadline = h, many, 1, false, deadline
	return newToken(i, s.generation)
}

// idle decrements busy, and returns the handler if the request must end now; else it sets the deadline, unless that is 0.
func (p *pending) idle(t Token, deadline time.Duration) Handler {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.find(t)
	if s == nil {
		return nil
	}
	if s.busy--; s.busy == 0 && s.cancelled {
		return p.release(t.slot())
	}
	if deadline > 0 {
		s.deadline = deadline
	}
	return nil
}

// reply returns the handler for a reply, or nil if the request has ended. A request with a single reply ends; one with many
// is busy until idle or take.
func (p *pending) reply(t Token) (h Handler, many bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch s := p.find(t); {
	case s == nil:
		return nil, false
	case s.many:
		s.busy++
		return s.handler, true
	default:
		return p.release(t.slot()), false
	}
}

// take ends the request and returns its handler, or nil if it has ended before.
func (p *pending) take(t Token) Handler {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.find(t) == nil {
		return nil
	}
	return p.release(t.slot())
}

// cancel ends the request. If it is busy, it ends with an error soon.
func (p *pending) cancel(t Token) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch s := p.find(t); {
	case s == nil:
	case s.busy > 0:
		s.cancelled = true
	default:
		p.release(t.slot())
	}
}

// expire ends every request whose deadline is not after now and returns the handlers.
func (p *pending) expire(now time.Duration) []Handler {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.giveUp(now)
}

// close refuses new requests, ends all that are in flight and returns their handlers.
func (p *pending) close() []Handler {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return p.giveUp(never)
}

// never is later than any deadline.
const never = time.Duration(1<<63 - 1)

func (p *pending) giveUp(now time.Duration) []Handler {
	var ended []Handler
	for i := range p.slots {
		s := &p.slots[i]
		switch {
		case s.handler == nil || s.deadline > now:
		case s.busy > 0:
			s.cancelled = true
		default:
			ended = append(ended, p.release(uint32(i)))
		}
	}
	return ended
}

func (p *pending) find(t Token) *slot {
	i := t.slot()
	if int(i) >= len(p.slots) {
		return nil
	}
	if s := &p.slots[i]; s.handler != nil && s.generation == t.generation() {
		return s
	}
	return nil
}

func (p *pending) release(i uint32) Handler {
	h := p.slots[i].handler
	p.slots[i].handler = nil
	p.free = append(p.free, i)
	return h
}
