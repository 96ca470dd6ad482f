package main

import (
	"context"
	"net"
	"sync"
	"time"
)

// dialTimeout bounds the way to one server, the look-up of its name included.
const dialTimeout = 5 * time.Second

// lifeline is the way of the node's connections to NATS. The client library holds its lock while it dials, shakes hands, or
// writes to a server that does not read: whoever publishes or closes then waits for seconds, up to a minute. Cut ends that.
type lifeline struct {
	ctx  context.Context // ends with cut
	stop context.CancelFunc

	mu    sync.Mutex
	wires map[*wire]struct{}
}

func newLifeline() *lifeline {
	l := &lifeline{wires: map[*wire]struct{}{}}
	l.ctx, l.stop = context.WithCancel(context.Background())
	return l
}

// Dial is for the client library.
func (l *lifeline) Dial(network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(l.ctx, dialTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	w := &wire{conn, l}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.ctx.Err(); err != nil {
		_ = conn.Close() // nothing was sent
		return nil, err
	}
	l.wires[w] = struct{}{}
	return w, nil
}

// cut ends every connection; there are no others from then on.
func (l *lifeline) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stop()
	for w := range l.wires {
		_ = w.Conn.Close() // what was not sent is lost either way
	}
	clear(l.wires)
}

// wire is a connection of a lifeline.
type wire struct {
	net.Conn
	line *lifeline
}

func (w *wire) Close() error {
	w.line.mu.Lock()
	delete(w.line.wires, w)
	w.line.mu.Unlock()
	return w.Conn.Close()
}
