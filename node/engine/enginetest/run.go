package enginetest

import (
	"slices"
	"testing/synctest"
	"time"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
)

// stuckAfter is how long, on the bubble's clock, orders in memory may go without any progress before the test fails.
const stuckAfter = 30 * time.Minute

// passes records a point at which the node can die, and reports whether it survives it.
func (e *Env) passes(n *node, point string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n.dead {
		return false
	}
	n.dead = slices.Contains(e.killAt, len(e.points))
	e.points = append(e.points, point)
	e.notify()
	return !n.dead
}

func (e *Env) notify() {
	select {
	case e.moved <- struct{}{}:
	default:
	}
}

// run runs the orders until the time end, or, if that is zero, until all have ended or wait for signals.
func (e *Env) run(end time.Time) {
	e.t.Helper()
	waitsForSignal := func(id messages.OrderID) bool { return end.IsZero() && e.view(id).ParkedFor == "pending" }
	for moved := time.Now(); ; {
		for _, d := range e.store.take() {
			e.startNode()
			e.node.deliver(d)
		}
		synctest.Wait()
		switch {
		case e.node == nil:
		case e.dead():
			e.stopNode()
			if e.onKill != nil {
				e.onKill()
				e.onKill = nil
			}
		case e.node.tree.Pending() == 0:
			e.stopNode()
		}
		now, next := time.Now(), e.store.next(waitsForSignal)
		// All orders have ended or wait for signals, or the time has passed.
		if next.IsZero() && e.node == nil || !end.IsZero() && !now.Before(end) {
			return
		}
		if next.IsZero() || !end.IsZero() && end.Before(next) {
			next = end
		}
		// No order is in memory: the clock jumps to the next message or timer.
		if e.node == nil {
			time.Sleep(time.Until(next))
			continue
		}
		// Orders in memory wait for a step function or for their next attempt.
		stuck := moved.Add(stuckAfter)
		if next.IsZero() || stuck.Before(next) {
			next = stuck
		}
		select {
		case <-e.moved:
			moved = time.Now()
		case <-time.After(time.Until(next)):
			if !time.Now().Before(stuck) {
				e.t.Fatalf("enginetest: orders in memory made no progress for %s\n%s", stuckAfter, e.log())
			}
		}
	}
}

func (e *Env) dead() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.node.dead
}

func (e *Env) startNode() {
	if e.node != nil {
		return
	}
	n, err := newNode(e)
	if err != nil {
		e.t.Fatalf("enginetest: %v", err)
	}
	e.mu.Lock()
	e.node = n
	e.mu.Unlock()
}

// stopNode ends the node. Its deliveries are redelivered after the acknowledgement wait.
func (e *Env) stopNode() {
	e.mu.Lock()
	n := e.node
	e.node = nil
	if n != nil {
		n.dead = true
	}
	e.mu.Unlock()
	if n != nil {
		n.stop()
		e.store.release()
	}
}

// undelivered stores the call that a killed node was about to make.
func (e *Env) undelivered(c *gateway.Call) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lost = c
}
