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

// cuttableNetwork is a dialer whose connections can be cut, so that the client misses what the server does meanwhile.
type cuttableNetwork struct {
	mu    sync.Mutex
	down  bool
	conns []net.Conn
}

func (n *cuttableNetwork) Dial(network, address string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down {
		return nil, errors.New("the network is cut")
	}
	conn, err := net.Dial(network, address)
	if err == nil {
		n.conns = append(n.conns, conn)
	}
	return conn, err
}

// cut closes all connections and refuses new ones.
func (n *cuttableNetwork) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = true
	for _, c := range n.conns {
		c.Close()
	}
	n.conns = nil
}

func (n *cuttableNetwork) restore() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = false
}

// A server that is killed loses the pull requests without a status.
func TestPullsAtOnceAfterReconnect(t *testing.T) {
	s, outside := startServer(t)
	var network cuttableNetwork
	js := s.JetStream(nats.SetCustomDialer(&network))
	in := startInbox(t, js, ingress.Config{})
	began := time.Now()
	storeOrder(t, outside, "before")
	in.next().Settle(delivery.Done())
	network.cut()
	s.Stop()
	s.Start()
	network.restore()
	waitReconnected(t, outside.Conn(), 1)
	waitReconnected(t, js.Conn(), 1)
	back := time.Now()
	storeOrder(t, outside, "after")
	for d := in.next(); d.OrderID != "after"; d = in.next() {
		d.Settle(delivery.Done())
	}
	// Without the reconnect, two heartbeats (10 s) must be missing before the inbox requests again.
	if after := time.Since(back); after > 5*time.Second && time.Since(began) > 10*time.Second {
		t.Errorf("the inbox pulls %s after the reconnect: it waits for a heartbeat", after)
	}
}
