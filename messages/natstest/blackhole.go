package natstest

import (
	"net"
	"sync"
)

// Blackhole is a network that can stop delivering: after Swallow, its connections stay open and drop everything the server
// sends. Use it as a dialer with nats.SetCustomDialer.
type Blackhole struct{ silent chan struct{} }

// NewBlackhole returns a network that delivers.
func NewBlackhole() *Blackhole { return &Blackhole{silent: make(chan struct{})} }

// Swallow stops the delivery on all connections permanently. Call it once.
func (b *Blackhole) Swallow() { close(b.silent) }

// Dial connects; it makes Blackhole a nats.CustomDialer.
func (b *Blackhole) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	return &blackholeConn{Conn: conn, silent: b.silent, closed: make(chan struct{})}, nil
}

type blackholeConn struct {
	net.Conn
	silent chan struct{}
	once   sync.Once
	closed chan struct{}
}

// Read drops what arrives after Swallow, and returns when the connection is closed.
func (c *blackholeConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	select {
	case <-c.silent:
		<-c.closed
		return 0, net.ErrClosed
	default:
		return n, err
	}
}

func (c *blackholeConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
