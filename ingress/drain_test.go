package ingress_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/natstest"
)

func TestDrainWaitsForHeldDeliveries(t *testing.T) {
	t.Parallel()
	s, js := startServer(t)
	in := startInbox(t, js, ingress.Config{MaxInFlight: 8})
	storeOrders(t, js, 20)
	held := in.hold(7)
	in.stopRun()
	in.drained = true
	drained := make(chan error, 1)
	go func() { drained <- in.inbox.Drain(natstest.Context(t)) }()
	for _, d := range held {
		select {
		case err := <-drained:
			t.Fatalf("drained before every delivery is settled: %v", err)
		case <-time.After(testAckWait / 4): // in sum more than the ack wait: deliveries are still extended
		}
		d.Settle(delivery.Done())
	}
	if err := natstest.Receive(t, drained, "the end of Drain"); err != nil {
		t.Fatal(err)
	}
	in.expectNone(testAckWait / 4)
	natstest.Eventually(t, "13 messages are left", func() bool { return countStored(t, js, messages.StreamOrders) == 13 })
	if info := consumerInfo(t, js); info.NumRedelivered != 0 || info.NumAckPending != 0 {
		t.Errorf("%d redelivered, %d pending", info.NumRedelivered, info.NumAckPending)
	}

	other := startInbox(t, s.JetStream(), ingress.Config{})
	for range 13 {
		other.next().Settle(delivery.Done())
	}
	waitEmpty(t, js, messages.StreamOrders)
}

func TestDrainReportsUnsettledDeliveries(t *testing.T) {
	t.Parallel()
	s, js := startServer(t)
	in := startInbox(t, js, ingress.Config{})
	storeOrder(t, js, "o")
	open := in.next()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := in.drain(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 deliveries") {
		t.Errorf("got %v", err)
	}
	other := startInbox(t, s.JetStream(), ingress.Config{})
	if d := other.next(); d.Deliveries != 2 {
		t.Errorf("delivery %d, want 2", d.Deliveries)
	}
	open.Settle(delivery.Dropped())
}

// Messages that were received and not yet delivered when Run ends are nak'd, so that other nodes get them at once.
func TestUndeliveredMessagesAreNaked(t *testing.T) {
	s, js := startServerNoRedelivery(t)
	deliveries, block := make(chan *delivery.Delivery, 100), make(chan struct{})
	in := startInboxFunc(t, js, ingress.Config{MaxInFlight: 64, AckWait: time.Minute}, func(d *delivery.Delivery) {
		deliveries <- d
		<-block // the other messages wait behind this one
	})
	storeOrders(t, js, 20)
	held := natstest.Receive(t, deliveries, "a delivery")
	natstest.Eventually(t, "the server has sent all messages", func() bool { return consumerInfo(t, js).NumAckPending == 20 })
	before := countSubscriptions(t, s, js.Conn())
	in.cancelRun()
	// A puller that has unsubscribed delivers no more messages.
	natstest.Eventually(t, "both pullers have unsubscribed", func() bool { return countSubscriptions(t, s, js.Conn()) == before-2 })
	close(block)
	in.stopRun()
	held.Settle(delivery.Done())
	// Without the naks they would be redelivered only after the ack wait, which is longer than the test waits.
	other := startInbox(t, s.JetStream(), ingress.Config{})
	for range 19 {
		other.next().Settle(delivery.Done())
	}
}

// Drain ends with its context, even if the server is unreachable or does not reply. Unsettled messages are redelivered, and
// those whose ack is lost may be.
func TestDrainWithoutServer(t *testing.T) {
	t.Parallel()
	for name, dial := range map[string]func() (dialer nats.CustomDialer, lose func()){
		"unreachable": func() (nats.CustomDialer, func()) { n := &cuttableNetwork{}; return n, n.cut },
		"no reply":    func() (nats.CustomDialer, func()) { b := natstest.NewBlackhole(); return b, b.Swallow },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, js := startServer(t)
			dialer, lose := dial()
			nc := s.Connect(nats.SetCustomDialer(dialer), nats.ReconnectBufSize(-1))
			in := startInbox(t, natstest.JetStream(t, nc), ingress.Config{})
			storeOrder(t, js, "held")
			held := in.next()
			lose()
			if name == "unreachable" {
				natstest.Eventually(t, "the connection is lost", func() bool { return !nc.IsConnected() })
			}
			began := time.Now()
			in.stopRun()
			held.Settle(delivery.Done())
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			err := in.drain(ctx)
			// Draining the subscriptions one after the other would take ten seconds each.
			if took := time.Since(began); err == nil || took > 8*time.Second {
				t.Errorf("got %v after %s: want an error because the ack may be lost", err, took)
			}
		})
	}
}

// countSubscriptions counts the subscriptions of a connection in the server.
func countSubscriptions(t testing.TB, s *natstest.Server, nc *nats.Conn) int {
	t.Helper()
	id, err := nc.GetClientID()
	if err != nil {
		t.Fatal(err)
	}
	seen, err := s.Connz(&server.ConnzOptions{CID: id})
	if err != nil || len(seen.Conns) != 1 {
		t.Fatalf("the server knows %d connections of the id %d: %v", len(seen.Conns), id, err)
	}
	return int(seen.Conns[0].NumSubs)
}
