// Package faultnet has networks that fail, for tests.
package faultnet

import (
	"net"
	"sync"
)

// Hush dials connections that fall silent when it is closed: they stay, and nothing comes from the other side any more.
type Hush chan struct{}

// Dial makes it a dialer of the NATS client.
func (h Hush) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	return &hushed{Conn: conn, hush: h, closed: make(chan struct{})}, nil
}

type hushed struct {
	net.Conn
	hush   Hush
	once   sync.Once
	closed chan struct{}
}

func (c *hushed) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	select {
	case <-c.hush:
		<-c.closed
		return 0, net.ErrClosed
	default:
		return n, err
	}
}

func (c *hushed) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
