// Package health records which kinds of a node's work fail. The parts that do the work report it; probes read it.
//
// The zero Monitor and the nil Check are usable: a part without a monitor reports to a nil Check. All methods may be called from
// any goroutine. A success costs one atomic load while nothing fails.
package health

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Renewal is how long a failure counts that is not reported again: work that fails is tried again sooner, and without work
// nobody would report that it succeeds again.
const Renewal = 30 * time.Second

// Monitor holds the checks of a node.
type Monitor struct {
	mu     sync.Mutex
	checks []*Check
}

// Check is the state of one kind of work.
type Check struct {
	name  string
	grace time.Duration

	// failing is not under the lock, so that a success costs none.
	failing atomic.Bool

	mu sync.Mutex
	// since and last are the first and the last report of the current failure.
	since, last time.Time
	err         error
}

// Check adds a check of the work with that name, such as "journal". Its failures count once they have lasted for grace.
func (m *Monitor) Check(name string, grace time.Duration) *Check {
	c := &Check{name: name, grace: grace}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.checks = append(m.checks, c)
	return c
}

// Err returns an error of one line that names all work that fails, or nil.
func (m *Monitor) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	var all error
	for _, c := range m.checks {
		switch err := c.failure(now); {
		case err == nil:
		case all == nil:
			all = fmt.Errorf("%s: %w", c.name, err)
		default:
			all = fmt.Errorf("%w; %s: %w", all, c.name, err)
		}
	}
	return all
}

// OK reports that the work was done.
func (c *Check) OK() {
	if c == nil || !c.failing.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failing.Store(false)
}

// Fail reports that the work could not be done, for a reason that is not the message's or the order's.
func (c *Check) Fail(err error) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if !c.failing.Load() || now.Sub(c.last) > Renewal {
		c.since = now
	}
	c.last, c.err = now, err
	c.failing.Store(true)
}

func (c *Check) failure(now time.Time) error {
	if !c.failing.Load() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.failing.Load() || now.Sub(c.last) > Renewal || now.Sub(c.since) < c.grace {
		return nil
	}
	return c.err
}
