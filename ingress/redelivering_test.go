package ingress_test

import (
	"testing"
	"time"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// Every node learns that a message about an order was delivered again and is not settled, and that none is.
func TestRedelivering(t *testing.T) {
	_, js := startServer(t)
	in, other := startInbox(t, js, ingress.Config{}), startInbox(t, js, ingress.Config{})
	nodes := []*testInbox{in, other}
	if in.inbox.Redelivering() || other.inbox.Redelivering() {
		t.Error("before the first message")
	}
	next := func() *delivery.Delivery {
		select {
		case d := <-in.deliveries:
			return d
		case d := <-other.deliveries:
			return d
		case <-time.After(natstest.Patience):
			t.Fatal("nothing is delivered")
			return nil
		}
	}
	storeOrder(t, js, "o")
	next().Settle(delivery.Later(0))
	held := next()
	for _, n := range nodes {
		natstest.Eventually(t, "the node knows that a message is delivered again", n.inbox.Redelivering)
	}
	held.Settle(delivery.Done())
	for _, n := range nodes {
		natstest.Eventually(t, "the node knows that none is", func() bool { return !n.inbox.Redelivering() })
	}
}

// The bound of an older version on unsettled messages is raised, and a larger one of the operator stays.
func TestMaxAckPendingIsRaised(t *testing.T) {
	_, js := startServer(t)
	want := consumerInfo(t, js).Config.MaxAckPending
	for found, want := range map[int]int{ingress.MaxAckPending: want, 2 * want: 2 * want} {
		cfg := consumerInfo(t, js).Config
		cfg.MaxAckPending = found
		if _, err := js.UpdateConsumer(natstest.Context(t), messages.StreamOrders, cfg); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			ensureStreams(t, js, testAckWait)
		}
		if got := consumerInfo(t, js).Config.MaxAckPending; got != want {
			t.Errorf("max_ack_pending %d became %d, want %d", found, got, want)
		}
	}
}
