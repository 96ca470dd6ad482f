package gateway

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

const (
	// A call of a function or downstream that this node lacks, and one whose answers it cannot read, is deferred, so that a node
	// that can make it may get the order: by a tenth of the time since this node first could not in that attempt, within these
	// bounds, plus up to as long again as jitter. Each deferral adds to the order's history: about 90 a day, not 4,000.
	minMissingDelay   = 15 * time.Second
	missingAgeDivisor = 10
	maxMissingDelay   = 15 * time.Minute
	// An attempt is stored for at least missingMemory, unless maxMissingEntries others are added. That is longer than the
	// delays, because other nodes may get the order in between.
	missingMemory     = 6 * time.Hour
	maxMissingEntries = 1 << 15
)

// missingTargets stores when this node first could not make each attempt; the call does not contain it. It is in memory only. The zero value is empty.
type missingTargets struct {
	mu sync.Mutex
	// since maps attempts to the time; older is the previous generation, replaced at rotated.
	since, older map[attemptKey]time.Time
	rotated      time.Time
}

// attemptKey identifies one attempt of one step call: an attempt that failed on another node starts the delays again.
type attemptKey struct {
	key    string
	number uint32
}

// age returns how long ago the attempt could first not be made.
func (m *missingTargets) age(a attemptKey, now time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.since) >= maxMissingEntries || now.Sub(m.rotated) >= missingMemory {
		m.since, m.older, m.rotated = map[attemptKey]time.Time{}, m.since, now
	}
	first, ok := m.since[a]
	if !ok {
		if first, ok = m.older[a]; !ok {
			first = now
		}
		m.since[a] = first
	}
	return now.Sub(first)
}

// deferral fails a call that this node cannot make, without costing the order an attempt. why says what the node lacks.
func (s *Set) deferral(c *Call, why string) error {
	now := time.Now()
	age := s.missing.age(attemptKey{c.Request.GetIdempotencyKey(), c.Attempt}, now)
	wait := min(max(age/missingAgeDivisor, minMissingDelay), maxMissingDelay)
	f := fail(messages.Transient, false, "%s", why)
	f.Deferral = &delivery.Deferral{Reason: why, Until: s.cfg.ServerTime(now.Add(wait + rand.N(wait)))}
	return f
}
