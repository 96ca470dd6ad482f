package supervision

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// shard is the record of one order supervisor; it outlives every instance of it.
type shard struct {
	number int
	tree   *Tree
	// pid of the order supervisor; set before the first delivery, the same through all restarts.
	pid *actor.PID

	actors atomic.Int64
	// timers counts the restart timers that may still call back.
	timers sync.WaitGroup

	mu     sync.Mutex
	intake []*delivery.Delivery
	closed bool

	// What follows belongs to the order supervisor and, when it has stopped, to Stop.

	// batch is what was last taken from the intake; batch[:taken] is in the table.
	batch    []*delivery.Delivery
	taken    int
	children map[messages.OrderID]*child
	// spawned numbers the actors, so that each has a name of its own.
	spawned uint64
}

func newShard(number int, t *Tree) *shard {
	return &shard{number: number, tree: t, children: make(map[messages.OrderID]*child)}
}

// put appends d to the intake and reports whether the shard is still open, and whether its supervisor must be told.
func (s *shard) put(d *delivery.Delivery) (open, tell bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, false
	}
	s.intake = append(s.intake, d)
	return true, len(s.intake) == 1
}

// close ends the intake; what it holds is settled by abandon.
func (s *shard) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// swap makes the intake the batch, if the last one is used up, and the old batch's memory the next intake.
func (s *shard) swap() {
	clear(s.batch)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batch, s.intake, s.taken = s.intake, s.batch[:0], 0
}

// settle ends d, which the caller has removed from where it was.
func (s *shard) settle(d *delivery.Delivery, o delivery.Outcome) {
	defer s.tree.settled()
	d.Settle(o)
}

// abandon settles everything that was taken in as Later(0) and empties the table. A delivery leaves its place before
// it is settled, so that abandon can be called again if a Settle panics.
func (s *shard) abandon() {
	for id, c := range s.children {
		s.disarm(c)
		s.settleAll(c, delivery.Later(0))
		delete(s.children, id)
	}
	for s.taken < len(s.batch) {
		d := s.batch[s.taken]
		s.taken++
		s.settle(d, delivery.Later(0))
	}
	s.actors.Store(0)
}

// settleAll ends all pending deliveries of c, oldest first.
func (s *shard) settleAll(c *child, o delivery.Outcome) {
	for len(c.pending) > 0 {
		s.settle(c.take(0), o)
	}
}

// arm makes the supervisor receive due{c} after c.delay.
func (s *shard) arm(c *child) {
	m := &due{c}
	s.timers.Add(1)
	c.timer = time.AfterFunc(c.delay, func() {
		defer s.timers.Done()
		s.tree.sys.Root.Send(s.pid, m)
	})
}

// disarm stops the timer of c; for a message it has already sent c is no longer in the table.
func (s *shard) disarm(c *child) {
	if c.timer == nil {
		return
	}
	if c.timer.Stop() {
		s.timers.Done()
	}
	c.timer = nil
}
