package supervision

import (
	"runtime"
	"sync"
	"time"
)

const (
	// wakeThreshold is how many mailboxes must wait for each awake worker before another worker is woken: waking a worker
	// costs more CPU than handling most messages.
	wakeThreshold = 8
	// stuckAfter is how long mailboxes may wait while no worker takes one, before another worker is woken or added.
	stuckAfter = 20 * time.Millisecond
)

// dispatcher runs the mailboxes of order actors and shard supervisors on GOMAXPROCS workers. Protoactor's own starts a
// goroutine each time an actor is woken, which is a dozen times for an order: three times the CPU for each order here
// (go test ./supervision -run - -bench Order), and a third more in the whole engine.
//
// Messages should not block. When they do (a write to a full socket) workers are woken or added, one each stuckAfter,
// until mailboxes are served again.
type dispatcher struct {
	mu   sync.Mutex
	wake sync.Cond
	// queue[head:] are the mailboxes that wait, oldest first.
	queue []func()
	head  int
	// limit on the workers while none is stuck; workers counts all, idle those of them that wait.
	limit, workers, idle int
	// taken counts the mailboxes that workers have taken.
	taken  uint64
	closed bool

	stop chan struct{}
	// running counts the workers and the watch.
	running sync.WaitGroup
}

func newDispatcher() *dispatcher {
	d := &dispatcher{limit: runtime.GOMAXPROCS(0), stop: make(chan struct{})}
	d.wake.L = &d.mu
	d.running.Go(d.watch)
	return d
}

// Throughput is how many messages of a mailbox are handled before the worker yields.
func (*dispatcher) Throughput() int { return 300 }

// Schedule makes a worker run fn.
func (d *dispatcher) Schedule(fn func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		go fn() // A message to an actor that has just stopped; it is dropped at once.
		return
	}
	d.queue = append(d.queue, fn)
	awake := d.workers - d.idle
	if awake < d.limit && len(d.queue)-d.head > wakeThreshold*awake {
		d.wakeOrAdd()
	}
}

// wakeOrAdd wakes an idle worker, or adds one if there is none. d.mu is locked.
func (d *dispatcher) wakeOrAdd() {
	if d.idle > 0 {
		d.idle--
		d.wake.Signal()
		return
	}
	d.workers++
	d.running.Go(func() {
		for fn := d.next(); fn != nil; fn = d.next() {
			fn()
		}
	})
}

// next waits for a mailbox; nil ends the worker.
func (d *dispatcher) next() func() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.head == len(d.queue) {
		d.queue, d.head = d.queue[:0], 0
		if d.closed || d.workers > d.limit {
			d.workers--
			return nil
		}
		d.idle++ // The goroutine that signals decrements idle.
		d.wake.Wait()
	}
	fn := d.queue[d.head]
	d.queue[d.head] = nil
	d.head++
	d.taken++
	if d.head > 1024 && d.head == cap(d.queue)/2 {
		d.queue, d.head = append(d.queue[:0], d.queue[d.head:]...), 0
	}
	return fn
}

// watch wakes or adds workers while others are stuck.
func (d *dispatcher) watch() {
	tick := time.NewTicker(stuckAfter)
	defer tick.Stop()
	var before uint64
	for {
		select {
		case <-d.stop:
			return
		case <-tick.C:
		}
		d.mu.Lock()
		if d.taken == before && d.head < len(d.queue) {
			d.wakeOrAdd()
		}
		before = d.taken
		d.mu.Unlock()
	}
}

// close ends the workers when they have run all waiting mailboxes, and waits for them.
func (d *dispatcher) close() {
	d.mu.Lock()
	d.closed = true
	d.idle = 0
	d.wake.Broadcast()
	d.mu.Unlock()
	close(d.stop)
	d.running.Wait()
}
