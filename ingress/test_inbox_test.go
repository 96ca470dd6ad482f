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
)

// desk is an inbox whose deliveries a test takes one by one.
type desk struct {
	t          testing.TB
	inbox      *ingress.Inbox
	deliveries chan *delivery.Delivery
	stop       context.CancelFunc
	ran        chan error
	drained    bool
}

func openDesk(t testing.TB, js jetstream.JetStream, cfg ingress.Config) *desk {
	t.Helper()
	d := &desk{t: t, deliveries: make(chan *delivery.Delivery, 1<<16), ran: make(chan error, 1)}
	d.open(js, cfg, func(m *delivery.Delivery) { d.deliveries <- m })
	return d
}

func (d *desk) open(js jetstream.JetStream, cfg ingress.Config, deliver func(*delivery.Delivery)) {
	d.t.Helper()
	if cfg.AckWait == 0 {
		cfg.AckWait = testAckWait
	}
	cfg.Logger = quiet()
	inbox, err := ingress.New(js, cfg, deliver)
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	d.inbox, d.stop = inbox, stop
	go func() { d.ran <- inbox.Run(ctx) }()
	d.t.Cleanup(func() {
		if !d.drained {
			d.close()
			now, cancel := context.WithCancel(context.Background())
			cancel()
			_ = inbox.Drain(now)
		}
	})
}

// close ends Run.
func (d *desk) close() {
	d.t.Helper()
	d.stop()
	select {
	case err := <-d.ran:
		d.ran <- err
	case <-time.After(patience):
		d.t.Fatal("Run does not return")
	}
}

func (d *desk) drain() error {
	d.t.Helper()
	d.drained = true
	d.close()
	return d.inbox.Drain(within(d.t))
}

func (d *desk) next() *delivery.Delivery {
	d.t.Helper()
	select {
	case m := <-d.deliveries:
		return m
	case <-time.After(patience):
		d.t.Fatal("no delivery in time")
		return nil
	}
}

// finish settles whatever comes until the inbox is empty: an acknowledgement can get lost with a connection.
func (d *desk) finish(js jetstream.JetStream) {
	d.t.Helper()
	eventually(d.t, "the inbox is empty", func() bool {
		for {
			select {
			case m := <-d.deliveries:
				m.Settle(delivery.Done())
				continue
			default:
			}
			return stored(d.t, js, messages.StreamOrders) == 0
		}
	})
}

// none checks that nothing is delivered for some time: the only way to see that something does not happen.
func (d *desk) none(within time.Duration) {
	d.t.Helper()
	select {
	case m := <-d.deliveries:
		d.t.Fatalf("%s of %s is delivered (%d times by now)", m.Type, m.OrderID, m.Deliveries)
	case <-time.After(within):
	}
}

func publish(t testing.TB, js jetstream.JetStream, subject string, header nats.Header, body string) uint64 {
	t.Helper()
	ack, err := js.PublishMsg(within(t), &nats.Msg{Subject: subject, Header: header, Data: []byte(body)})
	if err != nil {
		t.Fatal(err)
	}
	return ack.Sequence
}

func stored(t testing.TB, js jetstream.JetStream, stream string) uint64 {
	t.Helper()
	s, err := js.Stream(within(t), stream)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

func emptied(t testing.TB, js jetstream.JetStream, stream string) {
	t.Helper()
	eventually(t, stream+" is empty", func() bool { return stored(t, js, stream) == 0 })
}

func consumer(t testing.TB, js jetstream.JetStream) *jetstream.ConsumerInfo {
	t.Helper()
	c, err := js.Consumer(within(t), messages.StreamOrders, messages.Consumer)
	if err != nil {
		t.Fatal(err)
	}
	return c.CachedInfo()
}

func created(id string) string {
	return fmt.Sprintf(`{"order_id":%q,"customer_id":"c","items":[{"product_id":"p","quantity":2,"unit_price":1.5}]}`, id)
}
