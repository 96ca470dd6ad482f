package gateway

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderly-engine/orderly/actors/directory"
)

// Timing of connections. The timeout of a call is its step's.
const (
	dialTimeout      = 10 * time.Second
	handshakeTimeout = 10 * time.Second
	idleTimeout      = 90 * time.Second
	// HTTP/2 connections are pinged when nothing has arrived for pingAfter, and closed without an answer within pingTimeout.
	// HTTP/1 connections are probed by TCP, for about as long.
	pingAfter   = 10 * time.Second
	pingTimeout = 5 * time.Second

	maxResponseHeader = 64 << 10 // bytes
)

// connections are the HTTP connections to one downstream, all made with the same certificates. They are retired when the
// certificates change, when one of them is found dead, and by a trial call: calls in flight end on them, and further calls use others.
type connections struct {
	transport http.RoundTripper
	service   *httpService
	// tls is that of the directory's entry.
	tls *tls.Config

	calls   atomic.Int32 // made and not ended
	retired atomic.Bool

	// ctx ends when the connections are closed.
	ctx    context.Context
	cancel context.CancelFunc
	mu     sync.Mutex
	open   map[*connection]struct{}
}

// newConnections returns connections to a downstream for up to n calls at a time.
func newConnections(s *httpService, settings *tls.Config, n int) *connections {
	c := &connections{service: s, tls: settings, open: map[*connection]struct{}{}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if c.transport = s.set.cfg.Transport; c.transport != nil {
		return c
	}
	t := &http.Transport{
		DialContext:         c.dial,
		TLSHandshakeTimeout: handshakeTimeout,
		ForceAttemptHTTP2:   true,
		// Twice as many, because a dial goes on for a while after its call has ended.
		MaxConnsPerHost:        2 * n,
		MaxIdleConns:           n,
		MaxIdleConnsPerHost:    n,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxResponseHeader,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}
	if settings != nil {
		t.TLSClientConfig = settings.Clone()
	}
	if proxy := s.entry.Proxy(); proxy != nil {
		t.Proxy = http.ProxyURL(proxy)
	}
	c.transport = t
	return c
}

func (c *connections) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	dialer := net.Dialer{Timeout: dialTimeout, KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: pingAfter, Interval: pingTimeout / 5, Count: 5,
	}}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	opened := &connection{Conn: conn, of: c}
	c.mu.Lock()
	c.open[opened] = struct{}{}
	c.mu.Unlock()
	if c.ctx.Err() != nil {
		opened.Close()
	}
	return opened, nil
}

// release ends a call that acquire returned c for.
func (c *connections) release() {
	if c.calls.Add(-1) == 0 && c.retired.Load() {
		c.close()
	}
}

// retire lets further calls use other connections.
func (c *connections) retire() {
	c.service.replace(c, c.tls)
}

// close closes all connections. No call uses them.
func (c *connections) close() {
	c.cancel()
	(&http.Client{Transport: c.transport}).CloseIdleConnections()
	c.mu.Lock()
	open := c.open
	c.open = map[*connection]struct{}{}
	c.mu.Unlock()
	for conn := range open {
		conn.Conn.Close()
	}
}

// connection counts the reads, which tells a dead connection from a slow service.
type connection struct {
	net.Conn
	of    *connections
	reads atomic.Uint64
}

func (c *connection) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.reads.Add(1)
	}
	return n, err
}

func (c *connection) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// usedConnection is the connection of a call, and its reads when the call got it.
type usedConnection struct {
	*connection
	before uint64
}

// noteConnection has the connection of the call noted: from then on the request may have reached the service.
func (p *pendingCall) noteConnection(ctx context.Context) context.Context {
	var connected atomic.Bool // the transport may send a request again, over another connection
	getting := func(string) { p.sent.Store(connected.Load()) }
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GetConn: getting, GotConn: func(got httptrace.GotConnInfo) {
		connected.Store(true)
		p.sent.Store(true)
		conn := got.Conn
		for {
			outer, ok := conn.(interface{ NetConn() net.Conn }) // TLS
			if !ok {
				break
			}
			conn = outer.NetConn()
		}
		if c, ok := conn.(*connection); ok {
			p.conn.Store(&usedConnection{c, c.reads.Load()})
		}
	}})
}

// checkConnection retires the connections of the downstream if the call timed out and nothing at all has arrived on its
// connection since: the peer may have vanished without a word, and calls that follow would wait on it too.
func (p *pendingCall) checkConnection() {
	if c := p.conn.Load(); c != nil && c.reads.Load() == c.before {
		c.of.retire()
	}
}

// httpService makes the HTTP calls of one downstream.
type httpService struct {
	callQueue
	set   *Set
	entry *directory.Entry
	// limit is how many calls run at a time.
	limit   int
	current atomic.Pointer[connections]
}

func newHTTPService(s *Set, e *directory.Entry) *httpService {
	service := &httpService{set: s, entry: e, limit: max(s.cfg.HTTPConcurrency, int(e.Limits.GetConcurrency()))}
	service.current.Store(newConnections(service, e.TLS(), service.limit))
	return service
}

// acquire returns connections for a call, which calls release when it has ended.
func (s *httpService) acquire() *connections {
	for {
		c := s.current.Load()
		if settings := s.entry.TLS(); settings != c.tls {
			s.replace(c, settings)
			continue
		}
		c.calls.Add(1)
		if !c.retired.Load() {
			return c
		}
		c.release()
	}
}

// replace retires c, unless that has been done.
func (s *httpService) replace(c *connections, settings *tls.Config) {
	next := newConnections(s, settings, s.limit)
	if !s.current.CompareAndSwap(c, next) {
		next.cancel()
		return
	}
	c.retired.Store(true)
	(&http.Client{Transport: c.transport}).CloseIdleConnections()
	if c.calls.Load() == 0 {
		c.close()
	}
}
