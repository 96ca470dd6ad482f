package supervision

import (
	"runtime"
	"sync"
	"time"
)

const (
	// crowd is how many calls may wait for each worker that is awake before another one is woken: waking costs more
	// than most calls.
	crowd = 8
	// stuckAfter is how long calls may wait while no worker takes one before another worker is started.
	stuckAfter = 20 * time.Millisecond
)

// workers is the dispatcher of order actors and their supervisors: as many goroutines as there are processors take turns
// at the mailboxes that hold messages. A goroutine per wake-up, as protoactor has it, costs a stack that grows anew and
// a switch for each of the dozen messages of an order; together that was half of what an order cost.
//
// Calls should not block. Where they do (a socket that takes nothing) a further worker is started each time nobody has
// taken a call for a while, so that an actor that blocks holds up others only for a moment. The zero value is ready.
type workers struct {
	mu sync.Mutex
	// queue[head:] are the calls that wait, oldest first.
	queue []func()
	head  int
	// size is how many workers there are when none is blocked; count all of them, asleep those of them that wait.
	size, count, asleep int
	// taken counts the calls that were taken.
	taken  uint64
	wake   chan struct{}
	stop   chan struct{}
	closed bool
	// running counts the workers and the watch.
	running sync.WaitGroup
}

// Throughput is how many messages an actor handles before others get their turn.
func (*workers) Throughput() int { return 300 }

// Schedule has fn run by a worker.
func (w *workers) Schedule(fn func()) {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		go fn() // A message to an actor that has just stopped; it will find nobody.
		return
	}
	if w.wake == nil {
		w.size = runtime.GOMAXPROCS(0)
		w.wake, w.stop = make(chan struct{}), make(chan struct{})
		w.running.Go(w.watch)
	}
	w.queue = append(w.queue, fn)
	awake := w.count - w.asleep
	crowded := awake == 0 || len(w.queue)-w.head > crowd*awake
	switch {
	case crowded && w.asleep > 0:
		w.asleep--
		w.mu.Unlock()
		w.wake <- struct{}{}
		return
	case crowded && w.count < w.size:
		w.start()
	}
	w.mu.Unlock()
}

// start starts a worker; w.mu is held.
func (w *workers) start() {
	w.count++
	w.running.Go(w.work)
}

func (w *workers) work() {
	for fn := w.next(); fn != nil; fn = w.next() {
		fn()
	}
}

// next waits for a call; nil ends the worker.
func (w *workers) next() func() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.head == len(w.queue) {
		w.queue, w.head = w.queue[:0], 0
		if w.closed || w.count > w.size {
			w.count--
			return nil
		}
		w.asleep++
		w.mu.Unlock()
		<-w.wake
		w.mu.Lock()
	}
	fn := w.queue[w.head]
	w.queue[w.head] = nil
	w.head++
	w.taken++
	if w.head == cap(w.queue)/2 && w.head > 1024 {
		w.queue, w.head = append(w.queue[:0], w.queue[w.head:]...), 0
	}
	return fn
}

// watch makes up for workers that block.
func (w *workers) watch() {
	tick := time.NewTicker(stuckAfter)
	defer tick.Stop()
	var before uint64
	for {
		select {
		case <-w.stop:
			return
		case <-tick.C:
		}
		w.mu.Lock()
		if w.taken == before && w.head < len(w.queue) && w.asleep == 0 {
			w.start()
		}
		before = w.taken
		w.mu.Unlock()
	}
}

// close ends the workers when they have run everything that waits, and waits for them.
func (w *workers) close() {
	w.mu.Lock()
	w.closed = true
	asleep := w.asleep
	w.asleep = 0
	started := w.wake != nil
	w.mu.Unlock()
	for range asleep {
		w.wake <- struct{}{}
	}
	if started {
		close(w.stop)
	}
	w.running.Wait()
}
