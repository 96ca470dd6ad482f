package ingress_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// testInbox is a running inbox whose deliveries a test takes one by one.
type testInbox struct {
	t          testing.TB
	inbox      *ingress.Inbox
	deliveries chan *delivery.Delivery
	cancelRun  context.CancelFunc
	ran        chan error
	drained    bool
}

func startInbox(t testing.TB, js jetstream.JetStream, cfg ingress.Config) *testInbox {
	t.Helper()
	deliveries := make(chan *delivery.Delivery, 1<<16)
	in := startInboxFunc(t, js, cfg, func(d *delivery.Delivery) { deliveries <- d })
	in.deliveries = deliveries
	return in
}

// startInboxFunc is startInbox with a function that takes the deliveries.
func startInboxFunc(t testing.TB, js jetstream.JetStream, cfg ingress.Config, deliver func(*delivery.Delivery)) *testInbox {
	t.Helper()
	if cfg.AckWait == 0 {
		cfg.AckWait = testAckWait
	}
	if cfg.Logger == nil {
		cfg.Logger = discardLog()
	}
	inbox, err := ingress.New(js, cfg, deliver)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	in := &testInbox{t: t, inbox: inbox, cancelRun: cancel, ran: make(chan error, 1)}
	go func() { in.ran <- inbox.Run(ctx) }()
	t.Cleanup(func() {
		if !in.drained {
			_ = in.drain(endedContext())
		}
	})
	return in
}

// stopRun ends Run.
func (in *testInbox) stopRun() {
	in.t.Helper()
	in.cancelRun()
	in.ran <- natstest.Receive(in.t, in.ran, "the return of Run")
}

// drain ends Run and drains the inbox.
func (in *testInbox) drain(ctx context.Context) error {
	in.t.Helper()
	in.drained = true
	in.stopRun()
	return in.inbox.Drain(ctx)
}

func (in *testInbox) next() *delivery.Delivery {
	in.t.Helper()
	return natstest.Receive(in.t, in.deliveries, "a delivery")
}

// hold returns the next n deliveries by sequence.
func (in *testInbox) hold(n int) map[uint64]*delivery.Delivery {
	in.t.Helper()
	held := map[uint64]*delivery.Delivery{}
	for range n {
		d := in.next()
		held[d.Sequence] = d
	}
	return held
}

// settleAll settles deliveries until the inbox is empty: an ack can get lost with a connection.
func (in *testInbox) settleAll(js jetstream.JetStream) {
	in.t.Helper()
	natstest.Eventually(in.t, "the inbox is empty", func() bool {
		for {
			select {
			case d := <-in.deliveries:
				d.Settle(delivery.Done())
			default:
				return countStored(in.t, js, messages.StreamOrders) == 0
			}
		}
	})
}

// expectNone checks that nothing is delivered within d: only waiting can show that.
func (in *testInbox) expectNone(within time.Duration) {
	in.t.Helper()
	select {
	case d := <-in.deliveries:
		in.t.Fatalf("%s of order %s is delivered (delivery %d)", d.Type, d.OrderID, d.Deliveries)
	case <-time.After(within):
	}
}

// storeMsg publishes a message and returns its sequence.
func storeMsg(t testing.TB, js jetstream.JetStream, subject string, header nats.Header, body string) uint64 {
	t.Helper()
	ack, err := js.PublishMsg(natstest.Context(t), &nats.Msg{Subject: subject, Header: header, Data: []byte(body)})
	if err != nil {
		t.Fatal(err)
	}
	return ack.Sequence
}

// storeOrder publishes a valid order and returns its sequence.
func storeOrder(t testing.TB, js jetstream.JetStream, id string) uint64 {
	t.Helper()
	return storeMsg(t, js, messages.SubjectOrder+id, nil, orderJSON(id))
}

// storeOrders publishes the orders o-0 to o-(n-1).
func storeOrders(t testing.TB, js jetstream.JetStream, n int) {
	t.Helper()
	for i := range n {
		storeOrder(t, js, fmt.Sprintf("o-%d", i))
	}
}

func orderJSON(id string) string {
	return fmt.Sprintf(`{"order_id":%q,"customer_id":"c","items":[{"product_id":"p","quantity":2,"unit_price":1.5}]}`, id)
}

func openStream(t testing.TB, js jetstream.JetStream, name string) jetstream.Stream {
	t.Helper()
	s, err := js.Stream(natstest.Context(t), name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func countStored(t testing.TB, js jetstream.JetStream, stream string) uint64 {
	t.Helper()
	return openStream(t, js, stream).CachedInfo().State.Msgs
}

func waitEmpty(t testing.TB, js jetstream.JetStream, stream string) {
	t.Helper()
	natstest.Eventually(t, stream+" is empty", func() bool { return countStored(t, js, stream) == 0 })
}

func consumerInfo(t testing.TB, js jetstream.JetStream) *jetstream.ConsumerInfo {
	t.Helper()
	c, err := js.Consumer(natstest.Context(t), messages.StreamOrders, messages.Consumer)
	if err != nil {
		t.Fatal(err)
	}
	return c.CachedInfo()
}
