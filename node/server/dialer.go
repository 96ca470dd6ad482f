package server

import (
	"context"
	"net"
	"sync"
	"time"
)

// dialTimeout bounds one dial, including the name lookup.
const dialTimeout = 5 * time.Second

// dialer makes the node's connections to NATS and can end them all. nats.go holds its lock while it dials, shakes hands or
// writes to a server that does not read, so that a publish or a close blocks for up to a minute; cut ends that.
type dialer struct {
	ctx  context.Context // ends with cut
	stop context.CancelFunc

	mu    sync.Mutex
	conns map[*trackedConn]struct{}
}

func newDialer() *dialer {
	d := &dialer{conns: map[*trackedConn]struct{}{}}
	d.ctx, d.stop = context.WithCancel(context.Background())
	return d
}

// Dial implements nats.CustomDialer. After cut it fails.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(d.ctx, dialTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := &trackedConn{conn, d}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.ctx.Err(); err != nil {
		_ = conn.Close() // nothing was sent
		return nil, err
	}
	d.conns[c] = struct{}{}
	return c, nil
}

// cut closes every connection and refuses new ones.
func (d *dialer) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stop()
	for c := range d.conns {
		_ = c.Conn.Close() // unsent data is lost either way
	}
	clear(d.conns)
}

// trackedConn removes itself from its dialer when it is closed.
type trackedConn struct {
	net.Conn
	dialer *dialer
}

func (c *trackedConn) Close() error {
	c.dialer.mu.Lock()
	delete(c.dialer.conns, c)
	c.dialer.mu.Unlock()
	return c.Conn.Close()
}
