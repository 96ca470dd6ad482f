package actors_test

import (
	"sync"
	"testing"

	"github.com/orderly-engine/orderly/messages"
)

// room is the room of the store.
type room struct {
	mu sync.Mutex
	// full: no order is admitted.
	full bool
	// taken are the bytes of admitted orders; admissions counts them.
	taken, admissions int
}

func (r *room) Admit(size int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.full {
		r.taken += size
		r.admissions++
	}
	return !r.full
}

func (r *room) Release(size int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken -= size
}

func (r *room) set(full bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.full = full
}

// check checks what is taken, and how often an order was admitted.
func (r *room) check(t *testing.T, taken bool, admissions int) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.taken > 0 != taken || r.taken < 0 || r.admissions != admissions {
		t.Errorf("%d bytes are taken after %d admissions", r.taken, r.admissions)
	}
}

// Without room a new order stays in the inbox; what is accepted goes on.
func TestOrderWithoutRoomStaysInTheInbox(t *testing.T) {
	s := newFixture(t)
	s.room.set(true)
	s.deliver(newDelivery(messages.TypeCreated, 1, 1))
	s.await(t, "settle 1 later(1s)")
	if got := s.memory.kinds(id); got != "" {
		t.Errorf("journal %q", got)
	}
	s.room.check(t, false, 0)

	s.room.set(false)
	s.steps.plan["reserve/do"] = []answer{{later: true}}
	s.deliver(newDelivery(messages.TypeCreated, 1, 2))
	s.await(t, "call reserve/do #1")
	s.room.check(t, true, 1)
	s.room.set(true)
	s.steps.release("reserve/do", answer{reply: reply("done")})
	s.await(t, "settle 1 done")
	if got := s.memory.kinds(id); got != happy {
		t.Errorf("journal %q, want %q", got, happy)
	}
	s.room.check(t, false, 1)
}
