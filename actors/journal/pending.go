package journal

import (
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// waiter waits for the reply to one publish: an append or a batch of them. Exactly one of its methods is called, once.
type waiter interface {
	answered(*Journal, *nats.Msg)
	failed(*Journal, error)
}

// token names one wait: a slot in the low half, its generation in the high half. No two waits of a journal share a
// token, so a reply that comes late or twice finds nobody.
type token uint64

func newToken(slot, generation uint32) token { return token(generation)<<32 | token(slot) }
func (t token) slot() uint32                 { return uint32(t) }
func (t token) generation() uint32           { return uint32(t >> 32) }

// pending is the table of replies that are waited for.
type pending struct {
	mu     sync.Mutex
	slots  []slot
	free   []uint32
	closed bool
}

type slot struct {
	waiter     waiter
	generation uint32
	// sent: the publish has returned. Until then the publishing goroutine reads the append's body, so nobody else
	// may give the append back to its owner.
	sent bool
	// doomed: gave up before the publish returned; the publishing goroutine ends the wait.
	doomed bool
	// deadline on the journal's clock.
	deadline time.Duration
}

// add begins a wait. It reports false when the table is closed.
func (p *pending) add(w waiter, deadline time.Duration) (token, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, false
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
	s.waiter, s.sent, s.doomed, s.deadline = w, false, false, deadline
	return newToken(i, s.generation), true
}

// sent notes that the publish has returned, and returns the waiter if the wait must end now.
func (p *pending) sent(t token) waiter {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.find(t)
	if s == nil {
		return nil
	}
	s.sent = true
	if !s.doomed {
		return nil
	}
	return p.release(t.slot())
}

// take ends the wait and returns its waiter, or nil if it has ended before.
func (p *pending) take(t token) waiter {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.find(t) == nil {
		return nil
	}
	return p.release(t.slot())
}

// expire ends every wait whose deadline is not after now and returns the waiters.
func (p *pending) expire(now time.Duration) []waiter {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.giveUp(now)
}

// close refuses new waits, ends every one there is and returns the waiters.
func (p *pending) close() []waiter {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return p.giveUp(forever)
}

// forever is later than any deadline.
const forever = time.Duration(1<<63 - 1)

func (p *pending) giveUp(now time.Duration) []waiter {
	var ended []waiter
	for i := range p.slots {
		s := &p.slots[i]
		switch {
		case s.waiter == nil || s.deadline > now:
		case !s.sent:
			s.doomed = true
		default:
			ended = append(ended, p.release(uint32(i)))
		}
	}
	return ended
}

func (p *pending) find(t token) *slot {
	i := t.slot()
	if int(i) >= len(p.slots) {
		return nil
	}
	if s := &p.slots[i]; s.waiter != nil && s.generation == t.generation() {
		return s
	}
	return nil
}

func (p *pending) release(i uint32) waiter {
	w := p.slots[i].waiter
	p.slots[i].waiter = nil
	p.free = append(p.free, i)
	return w
}
