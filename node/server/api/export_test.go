package api

import (
	"net/http"
	"net/netip"
	"time"
)

const (
	// MaxLargeBodies bounds the large bodies in memory.
	MaxLargeBodies = maxLargeBodies
	// MaxScrapes bounds the concurrent requests for metrics.
	MaxScrapes = maxScrapes
)

// ClientOf is the client at an address.
func ClientOf(remote string) netip.Addr { return clientOf(remote) }

// Connections is the number of open connections; after Start.
func (a *API) Connections() int {
	a.connections.mu.Lock()
	defer a.connections.mu.Unlock()
	return len(a.connections.open)
}

// LimitConnections sets the read and write timeouts; before Start.
func (a *API) LimitConnections(d time.Duration) {
	a.server.ReadTimeout, a.server.WriteTimeout = d, d
}

// Handler serves without a listener.
func (a *API) Handler() http.Handler { return a.server.Handler }

// LargeBodies is the number of slots for large bodies that are taken.
func (a *API) LargeBodies() int {
	a.largeBodies.mu.Lock()
	defer a.largeBodies.mu.Unlock()
	return a.largeBodies.taken
}
