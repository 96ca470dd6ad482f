package api

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"
)

// connections is a listener that bounds the open connections. At a limit it closes the connection that has waited longest (for
// a request, or for the rest of one) in favor of the new one: clients that send slowly, or nothing, never keep others out.
// Connections whose requests hold a slot are not closed: there are fewer slots than connections.
type connections struct {
	*net.TCPListener
	max, perClient int
	// onClose is called for each connection that is closed at a limit.
	onClose func()

	mu       sync.Mutex
	open     map[*connection]struct{}
	byClient map[netip.Addr]int
}

// connection is an open connection.
type connection struct {
	*net.TCPConn
	all    *connections
	client netip.Addr
	// waiting is since when the connection waits, zero while its request holds a slot. Guarded by all.mu.
	waiting time.Time
}

func newConnections(l *net.TCPListener, limit int, onClose func()) *connections {
	return &connections{
		TCPListener: l, max: limit, perClient: half(limit), onClose: onClose,
		open: map[*connection]struct{}{}, byClient: map[netip.Addr]int{},
	}
}

// Accept implements net.Listener.
func (a *connections) Accept() (net.Conn, error) {
	tcp, err := a.AcceptTCP()
	if err != nil {
		return nil, err
	}
	c := &connection{TCPConn: tcp, all: a, client: clientOf(tcp.RemoteAddr().String()), waiting: time.Now()}
	if longest := a.add(c); longest != nil {
		_ = longest.TCPConn.Close() // only its own client may care
		a.onClose()
	}
	return c, nil
}

// add counts the connection in. If that exceeds a limit, it counts another one out and returns it.
func (a *connections) add(c *connection) (longest *connection) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open[c] = struct{}{}
	a.byClient[c.client]++
	switch {
	case a.byClient[c.client] > a.perClient:
		longest = a.longestWaiting(func(o *connection) bool { return o.client == c.client })
	case len(a.open) > a.max:
		longest = a.longestWaiting(func(*connection) bool { return true })
	}
	if longest != nil {
		a.remove(longest)
	}
	return longest
}

// longestWaiting is the connection that has waited longest, of those that match. There is one: the new connection waits. The
// caller holds mu.
func (a *connections) longestWaiting(match func(*connection) bool) (longest *connection) {
	for c := range a.open {
		if !c.waiting.IsZero() && match(c) && (longest == nil || c.waiting.Before(longest.waiting)) {
			longest = c
		}
	}
	return longest
}

// remove counts the connection out, once. The caller holds mu.
func (a *connections) remove(c *connection) {
	if _, open := a.open[c]; !open {
		return
	}
	delete(a.open, c)
	if a.byClient[c.client]--; a.byClient[c.client] == 0 {
		delete(a.byClient, c.client)
	}
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.all.mu.Lock()
	c.all.remove(c)
	c.all.mu.Unlock()
	return c.TCPConn.Close()
}

// setWaiting records whether the connection waits, from now on.
func (c *connection) setWaiting(waiting bool) {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	c.waiting = time.Time{}
	if waiting {
		c.waiting = time.Now()
	}
}

type connectionKey struct{}

// withConnection is the http.Server's ConnContext.
func withConnection(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, c)
}

// busy marks the connection of a request as one that does not wait, until the returned function is called.
func busy(ctx context.Context) (done func()) {
	c, ok := ctx.Value(connectionKey{}).(*connection)
	if !ok { // a handler without a listener
		return func() {}
	}
	c.setWaiting(false)
	return func() { c.setWaiting(true) }
}
