package ingress_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

func TestDrainWaitsAndStops(t *testing.T) {
	t.Parallel()
	b, js := ready(t)
	desk := openDesk(t, js, ingress.Config{MaxInFlight: 8})
	for n := range 20 {
		publish(t, js, fmt.Sprintf("ORDER.o-%d", n), nil, created(fmt.Sprintf("o-%d", n)))
	}
	var held []*delivery.Delivery
	for range 7 {
		held = append(held, desk.next())
	}
	desk.close()
	drained := make(chan error, 1)
	desk.drained = true
	go func() { drained <- desk.inbox.Drain(within(t)) }()
	for n, d := range held {
		select {
		case err := <-drained:
			t.Fatalf("drained with %d deliveries left: %v", len(held)-n, err)
		case <-time.After(testAckWait / 4): // longer than the ack wait in all: signs of life go on
		}
		d.Settle(delivery.Done())
	}
	if err := <-drained; err != nil {
		t.Fatal(err)
	}
	desk.none(testAckWait / 4)
	eventually(t, "13 messages are left", func() bool { return stored(t, js, messages.StreamOrders) == 13 })
	if info := consumer(t, js); info.NumRedelivered != 0 || info.NumAckPending != 0 {
		t.Errorf("%d redelivered, %d pending", info.NumRedelivered, info.NumAckPending)
	}

	other := openDesk(t, jetStream(t, b.connect()), ingress.Config{})
	for range 13 {
		other.next().Settle(delivery.Done())
	}
	emptied(t, js, messages.StreamOrders)
}

func TestDrainTellsWhatIsLeft(t *testing.T) {
	t.Parallel()
	b, js := ready(t)
	desk := openDesk(t, js, ingress.Config{})
	publish(t, js, "ORDER.o", nil, created("o"))
	left := desk.next()
	desk.close()
	desk.drained = true
	soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := desk.inbox.Drain(soon); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 deliveries") {
		t.Errorf("got %v", err)
	}
	other := openDesk(t, jetStream(t, b.connect()), ingress.Config{})
	if d := other.next(); d.Deliveries != 2 {
		t.Errorf("delivered %d times", d.Deliveries)
	}
	left.Settle(delivery.Dropped())
}

// What the inbox has taken but nobody has seen goes to others at once.
func TestUnseenMessagesAreGivenBack(t *testing.T) {
	b, js := patient(t)
	slow := make(chan struct{})
	first := &desk{t: t, deliveries: make(chan *delivery.Delivery, 100), ran: make(chan error, 1)}
	first.open(js, ingress.Config{MaxInFlight: 64, AckWait: time.Minute}, func(d *delivery.Delivery) {
		first.deliveries <- d
		<-slow // the others wait behind this one
	})
	for n := range 20 {
		publish(t, js, fmt.Sprintf("ORDER.o-%d", n), nil, created(fmt.Sprintf("o-%d", n)))
	}
	held := first.next()
	eventually(t, "all are on their way", func() bool { return consumer(t, js).NumAckPending == 20 })
	subscribed := b.subscriptions(js.Conn())
	first.stop()
	// A puller that has unsubscribed hands nothing on any more.
	eventually(t, "both pullers refuse", func() bool { return b.subscriptions(js.Conn()) == subscribed-2 })
	close(slow)
	first.close()
	held.Settle(delivery.Done())
	// If nobody gave them back, they would come long after next has lost its patience.
	other := openDesk(t, jetStream(t, b.connect()), ingress.Config{})
	for range 19 {
		other.next().Settle(delivery.Done())
	}
}

// hush is a network that can fall silent: the connection stays, and nothing comes from the server any more.
type hush struct {
	fallen chan struct{} // closed when it has
}

func (h *hush) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	return &hushed{Conn: conn, hush: h, closed: make(chan struct{})}, nil
}

type hushed struct {
	net.Conn
	hush   *hush
	once   sync.Once
	closed chan struct{}
}

func (c *hushed) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	select {
	case <-c.hush.fallen:
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

// A server that is away, or says nothing, cannot hold up the end: Drain is over when its context is. What is held comes
// again, and what was settled without an answer may.
func TestDrainWithoutServer(t *testing.T) {
	t.Parallel()
	for name, dial := range map[string]func() (dialer nats.CustomDialer, lose func()){
		"away": func() (nats.CustomDialer, func()) { g := &gate{}; return g, g.cut },
		"silent": func() (nats.CustomDialer, func()) {
			h := &hush{fallen: make(chan struct{})}
			return h, func() { close(h.fallen) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, js := ready(t)
			dialer, lose := dial()
			nc := b.connect(nats.SetCustomDialer(dialer), nats.ReconnectBufSize(-1))
			desk := openDesk(t, jetStream(t, nc), ingress.Config{})
			publish(t, js, "ORDER.held", nil, created("held"))
			held := desk.next()
			lose()
			if name == "away" {
				eventually(t, "the connection is lost", func() bool { return !nc.IsConnected() })
			}
			began := time.Now()
			desk.close()
			desk.drained = true
			held.Settle(delivery.Done())
			soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			err := desk.inbox.Drain(soon)
			// A drain of one subscription after the other waits ten seconds for each.
			if took := time.Since(began); err == nil || took > 8*time.Second {
				t.Errorf("got %v after %s: want to hear that the acknowledgement may be lost", err, took)
			}
		})
	}
}

// subscriptions counts those that the server knows of a connection.
func (b *broker) subscriptions(nc *nats.Conn) int {
	b.t.Helper()
	id, err := nc.GetClientID()
	if err != nil {
		b.t.Fatal(err)
	}
	seen, err := b.srv.Connz(&server.ConnzOptions{CID: id})
	if err != nil || len(seen.Conns) != 1 {
		b.t.Fatalf("the server knows %d connections of the id %d: %v", len(seen.Conns), id, err)
	}
	return int(seen.Conns[0].NumSubs)
}
