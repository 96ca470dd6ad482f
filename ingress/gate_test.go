package ingress_test

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// gate is a network that can be cut: the client hears nothing of what happens behind it.
type gate struct {
	mu    sync.Mutex
	shut  bool
	conns []net.Conn
}

func (g *gate) Dial(network, address string) (net.Conn, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		return nil, errors.New("the gate is shut")
	}
	conn, err := net.Dial(network, address)
	if err == nil {
		g.conns = append(g.conns, conn)
	}
	return conn, err
}

func (g *gate) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	for _, c := range g.conns {
		c.Close()
	}
	g.conns = nil
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = false
}

// A server that dies takes the requests with it and tells nobody.
func TestServerDiesWithoutAWord(t *testing.T) {
	b, outside := ready(t)
	var g gate
	js := jetStream(t, b.connect(nats.SetCustomDialer(&g)))
	desk := openDesk(t, js, ingress.Config{})
	began := time.Now()
	publish(t, outside, "ORDER.before", nil, created("before"))
	desk.next().Settle(delivery.Done())
	g.cut()
	b.stop()
	b.start()
	g.open()
	reconnected(t, outside.Conn(), 1)
	reconnected(t, js.Conn(), 1)
	back := time.Now()
	publish(t, outside, "ORDER.after", nil, created("after"))
	for d := desk.next(); d.OrderID != "after"; d = desk.next() {
		d.Settle(delivery.Done())
	}
	// Two heartbeats, ten seconds, have to be missing before it asks again for want of one.
	if after := time.Since(back); after > 5*time.Second && time.Since(began) > 10*time.Second {
		t.Errorf("the inbox asks again after %s: it waits for a heartbeat instead of asking when the connection is back", after)
	}
}
