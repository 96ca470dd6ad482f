package gateway

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

const (
	// A call of a function that this program lacks is put off for elsewhere, or for a tenth of the time since this program
	// first missed the function in that attempt, at most longElsewhere; and for up to as long again. What wakes the order
	// may come to a node that has the function. Each wait adds to the order's history: about 90 in a day, not 4,000.
	minMissingDelay   = 15 * time.Second
	missingAgeDivisor = 10
	maxMissingDelay   = 15 * time.Minute
	// What was missed is remembered for missedFor at least, unless maxMissed other attempts come in between. It is longer
	// than the waits, for an order may come to other nodes meanwhile.
	missingMemory     = 6 * time.Hour
	maxMissingEntries = 1 << 15
)

// missed remembers since when attempts have missed their function in this program: nothing in a call says it. The
// memory is the program's own and starts anew with it. The zero value is empty.
type missingFunctions struct {
	mu sync.Mutex
	// since is when an attempt first missed its function, older what since was before turned.
	since, older map[attemptKey]time.Time
	rotated      time.Time
}

// attempt is one attempt of one step call: a failed attempt elsewhere is progress.
type attemptKey struct {
	key    string
	number uint32
}

// age is how long ago the attempt first missed its function.
func (m *missingFunctions) age(a attemptKey, now time.Time) time.Duration {
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

// putOff fails a call of a function that this program lacks: that says nothing about the order, and must not cost it an
// attempt.
func (m *missingFunctions) deferral(f *pendingCall) error {
	now := time.Now()
	request := f.call.Request
	age := m.age(attemptKey{request.GetIdempotencyKey(), request.GetAttempt()}, now)
	wait := min(max(age/missingAgeDivisor, minMissingDelay), maxMissingDelay)
	why := fmt.Sprintf("the node it came to has no function %s", f.target.function)
	return &delivery.Failure{
		Kind:     messages.Transient,
		Deferral: &delivery.Deferral{Reason: why, Until: now.Add(wait + rand.N(wait))},
		Err:      errors.New(why),
	}
}
