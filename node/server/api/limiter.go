package api

import (
	"net/netip"
	"sync"
)

// limiter bounds what all clients have at once, and what one client has: half of it, so that one client cannot take all. Safe
// for concurrent use.
type limiter struct {
	max, perClient int

	mu       sync.Mutex
	taken    int
	byClient map[netip.Addr]int
}

func newLimiter(limit int) *limiter {
	return &limiter{max: limit, perClient: half(limit), byClient: map[netip.Addr]int{}}
}

// half of a limit, rounded up.
func half(limit int) int { return (limit + 1) / 2 }

// admission is the result of a limiter.
type admission int

const (
	admitted admission = iota
	// full: all clients together have reached the limit.
	full
	// clientFull: the client has reached its share.
	clientFull
)

// take counts one for the client, unless a limit is reached. After admitted, the caller calls release.
func (l *limiter) take(client netip.Addr) admission {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.taken >= l.max:
		return full
	case l.byClient[client] >= l.perClient:
		return clientFull
	}
	l.taken++
	l.byClient[client]++
	return admitted
}

func (l *limiter) release(client netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken--
	if l.byClient[client]--; l.byClient[client] == 0 {
		delete(l.byClient, client)
	}
}
