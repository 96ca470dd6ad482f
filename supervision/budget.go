package supervision

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// budget bounds failures. spend records one, of the order c or of a shard supervisor if c is nil, and returns an error that
// says which budget it exceeds, or nil.
type budget interface {
	spend(c *child, f error) error
}

// orderBudget bounds the failures of each order by itself. The count is reset when a delivery of the order is done.
type orderBudget Budget

func (b orderBudget) spend(c *child, f error) error {
	if c.defects == nil {
		c.defects = actor.NewRestartStatistics()
	}
	c.defects.Fail()
	if c.defects.NumberOfFailures(b.Within) > b.Count {
		return fmt.Errorf("more than %d failures of order %s within %s, the last: %w", b.Count, c.id, b.Within, f)
	}
	return nil
}

// subsystemBudget bounds the crashes of shard supervisors.
type subsystemBudget struct {
	Budget

	mu      sync.Mutex
	crashes *actor.RestartStatistics
}

func newSubsystemBudget(b Budget) *subsystemBudget {
	return &subsystemBudget{Budget: b, crashes: actor.NewRestartStatistics()}
}

func (b *subsystemBudget) spend(_ *child, f error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.crashes.Fail()
	if crashes := b.crashes.NumberOfFailures(b.Within); crashes > b.Count {
		return fmt.Errorf("%d crashes within %s, the last: %w", crashes, b.Within, f)
	}
	return nil
}

// outageLimit bounds the time in which infrastructure failures occur and no delivery of any order is done.
type outageLimit struct {
	// limit is negative for none.
	limit time.Duration
	// gap without a failure ends an outage: it is longer than any restart delay.
	gap time.Duration
	log *slog.Logger

	// failing: there is an outage. It is not under the lock, so that a delivery done costs no lock.
	failing atomic.Bool

	mu          sync.Mutex
	since, last time.Time
}

func newOutageLimit(c Config) *outageLimit {
	return &outageLimit{limit: c.OutageLimit, gap: max(c.OutageLimit, 2*c.Backoff.Max), log: c.Logger}
}

func (l *outageLimit) spend(_ *child, f error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if !l.failing.Swap(true) || now.Sub(l.last) > l.gap {
		l.since = now
		l.log.Warn("infrastructure failure, restarting orders with backoff", keyError, f)
	}
	l.last = now
	if lasted := now.Sub(l.since); l.limit > 0 && lasted > l.limit {
		return fmt.Errorf("infrastructure has failed for %s and no delivery was done: %w", lasted, f)
	}
	return nil
}

// end ends the outage, if there is one: a delivery was done.
func (l *outageLimit) end() {
	if l.failing.Load() && l.failing.Swap(false) {
		l.log.Info("infrastructure has recovered")
	}
}
