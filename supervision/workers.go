package supervision

import (
	"runtime"
	"sync"
)

// idleWorkers is how many goroutines a tree keeps for reuse at most: as many as a burst of deliveries wakes at once. An
// idle one costs some 16 KiB.
const idleWorkers = 1024

// reservedStack is the part of a worker's stack that an actor does not get, in bytes: more than a quarter of the 16 KiB
// that handling a message takes at most, so that the stack is not shrunk between two calls.
const reservedStack = 4 << 10

// workers is the dispatcher of order actors and their supervisors. It runs each call on a goroutine of its own, as protoactor's does, but
// keeps finished goroutines for the next call: an actor's messages outgrow the stack of a new goroutine, and growing
// it anew twice per order was half of what an order cost.
//
// It never queues: a call that finds no idle goroutine starts one, so that an actor that blocks holds up no other.
type workers struct {
	mu      sync.Mutex
	idle    []chan func()
	closed  bool
	running sync.WaitGroup
}

// Throughput is how many messages an actor handles before others get their turn.
func (*workers) Throughput() int { return 300 }

// Schedule runs fn on another goroutine.
func (w *workers) Schedule(fn func()) {
	w.mu.Lock()
	if n := len(w.idle) - 1; n >= 0 {
		next := w.idle[n]
		w.idle = w.idle[:n]
		w.mu.Unlock()
		next <- fn
		return
	}
	late := w.closed
	if !late {
		w.running.Add(1)
	}
	w.mu.Unlock()
	if late {
		go fn() // A message to an actor that has just stopped; it will find nobody.
		return
	}
	go w.work(fn)
}

func (w *workers) work(fn func()) {
	defer w.running.Done()
	// The garbage collector halves a stack that is mostly unused when it comes by. This keeps enough in use.
	var reserve [reservedStack]byte
	next := make(chan func(), 1)
	for fn != nil {
		fn()
		if !w.rest(next) {
			break
		}
		fn = <-next
	}
	runtime.KeepAlive(&reserve)
}

// rest offers a goroutine for reuse and reports whether it is wanted.
func (w *workers) rest(next chan func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || len(w.idle) == idleWorkers {
		return false
	}
	w.idle = append(w.idle, next)
	return true
}

// close ends the idle goroutines, and each other one when its call returns, and waits for all of them.
func (w *workers) close() {
	w.mu.Lock()
	w.closed = true
	for _, next := range w.idle {
		close(next)
	}
	w.idle = nil
	w.mu.Unlock()
	w.running.Wait()
}
