package ingress_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// TestStoredBeforeTheInbox: a delivery says how long its message was stored before the inbox could receive it.
func TestStoredBeforeTheInbox(t *testing.T) {
	_, js := startServer(t)
	storeMsg(t, js, "ORDER.o-1", nil, orderJSON("o-1"))
	in := startInbox(t, js, ingress.Config{})
	before := in.next()
	if age := before.Received.Sub(before.Stored); before.Unreceivable <= 0 || before.Unreceivable > age {
		t.Errorf("stored %s before the inbox, of %s", before.Unreceivable, age)
	}
	storeMsg(t, js, "ORDER.o-2", nil, orderJSON("o-2"))
	after := in.next()
	if after.Unreceivable != 0 {
		t.Errorf("stored %s before the inbox, and after it began", after.Unreceivable)
	}
	after.Settle(delivery.Done())
	before.Settle(delivery.Done())
	in.settleAll(js)
}

func TestDelivery(t *testing.T) {
	_, js := startServer(t)
	in := startInbox(t, js, ingress.Config{})
	const parent, state = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "vendor=x"

	seq := storeMsg(t, js, "ORDER.o-1", nats.Header{"traceparent": {parent}, "tracestate": {state}}, orderJSON("o-1"))
	d := in.next()
	if d.OrderID != "o-1" || d.Type != messages.TypeCreated || d.Stream != "ORDERS" || d.Sequence != seq || d.Deliveries != 1 || !d.Fresh() {
		t.Errorf("got %+v", d)
	}
	if d.Traceparent != parent || d.Tracestate != state {
		t.Errorf("trace context %q, %q", d.Traceparent, d.Tracestate)
	}
	if age := time.Since(d.Stored); age < 0 || age > natstest.Patience || d.Received.Before(d.Stored) {
		t.Errorf("stored %s, received %s", d.Stored, d.Received)
	}
	if d.Invalid != nil || d.Created.TotalAmount != 3 || d.Created.Currency != "USD" {
		t.Errorf("got %v, %v", d.Created, d.Invalid)
	}
	d.Settle(delivery.Done())

	for _, c := range []struct {
		kind messages.Type
		body string
		ok   func(*delivery.Delivery) bool
	}{
		{messages.TypeCancel, `{"reason":"no more"}`, func(d *delivery.Delivery) bool { return d.Cancel.GetReason() == "no more" }},
		{messages.TypeSignal, `{"name":"paid","data":7}`, func(d *delivery.Delivery) bool { return d.Signal.GetData() == "7" }},
		{messages.TypeRetry, ``, func(d *delivery.Delivery) bool { return d.Created == nil }},
		{messages.TypeSkip, `{}`, func(d *delivery.Delivery) bool { return d.Created == nil && d.Skip.GetStep() == "" }},
		{messages.TypeSkip, `{"step":"pay","direction":"undo"}`, func(d *delivery.Delivery) bool {
			return d.Skip.GetStep() == "pay" && d.Skip.GetDirection() == messages.Undo.Label()
		}},
	} {
		storeMsg(t, js, "ORDER.o-1", nats.Header{messages.HeaderType: {string(c.kind)}}, c.body)
		other := in.next()
		if other.Type != c.kind || !c.ok(other) {
			t.Errorf("got %+v", other)
		}
		if other.Incarnation == d.Incarnation || other.Incarnation == "" {
			t.Errorf("incarnation %q is not fresh", other.Incarnation)
		}
		other.Settle(delivery.Done())
	}

	storeMsg(t, js, "ORDER_WAKE.o-1", nats.Header{messages.HeaderPark: {"42"}, "traceparent": {parent}}, "")
	wake := in.next()
	if wake.Type != messages.TypeWake || wake.Park != 42 || wake.Stream != messages.StreamTimers || wake.OrderID != "o-1" || wake.Traceparent != parent {
		t.Errorf("got %+v", wake)
	}
	wake.Settle(delivery.Done())
	waitEmpty(t, js, messages.StreamOrders)
	waitEmpty(t, js, messages.StreamTimers)
	if err := in.drain(natstest.Context(t)); err != nil {
		t.Error(err)
	}
}

func TestInvalidOrdersAreDelivered(t *testing.T) {
	_, js := startServer(t)
	in := startInbox(t, js, ingress.Config{})
	storeMsg(t, js, "ORDER.o-1", nil, `{"order_id":"o-1","items":[]}`)
	if d := in.next(); d.Created == nil || d.Invalid == nil || !strings.Contains(d.Invalid.Error(), "customer_id is missing") {
		t.Errorf("got %v, %v", d.Created, d.Invalid)
	}
	storeMsg(t, js, "ORDER.o-2", nil, strings.Replace(orderJSON(""), `"order_id":"",`, "", 1))
	d := in.next()
	if d.Created.GetOrderId() != "o-2" || d.Invalid == nil || !strings.Contains(d.Invalid.Error(), "order_id is missing") {
		t.Errorf("got %v, %v", d.Created, d.Invalid)
	}
}

func TestOnlyFirstSettleCounts(t *testing.T) {
	all := map[string]delivery.Outcome{"done": delivery.Done(), "later": delivery.Later(0), "dead": delivery.Dead("no"), "dropped": delivery.Dropped()}
	for name, first := range all {
		t.Run(name, func(t *testing.T) {
			_, js := startServer(t)
			in := startInbox(t, js, ingress.Config{MaxInFlight: 4})
			const total = 12
			storeOrders(t, js, total)
			for range 3 { // the whole limit for orders
				d := in.next()
				d.Settle(first)
				var wg sync.WaitGroup
				for _, o := range all {
					wg.Go(func() { d.Settle(o) })
				}
				wg.Wait()
			}
			for range 3 {
				in.next()
			}
			in.expectNone(testAckWait / 4) // a delivery settled twice frees one place
			left := uint64(total)
			if name == "done" || name == "dead" {
				left -= 3
			}
			natstest.Eventually(t, "the first settlement has its effect", func() bool { return countStored(t, js, messages.StreamOrders) == left })
			wantDead := uint64(0)
			if name == "dead" {
				wantDead = 3
			}
			if n := countStored(t, js, messages.StreamDead); n != wantDead {
				t.Errorf("%d dead letters, want %d", n, wantDead)
			}
		})
	}
}

func TestLater(t *testing.T) {
	_, js := startServer(t)
	in := startInbox(t, js, ingress.Config{})
	storeOrder(t, js, "o")
	in.next().Settle(delivery.Later(0))
	d := in.next()
	if d.Deliveries != 2 || d.Fresh() {
		t.Errorf("delivery %d, want 2, not fresh", d.Deliveries)
	}
	const delay = 300 * time.Millisecond
	settled := time.Now()
	d.Settle(delivery.Later(delay))
	if d = in.next(); time.Since(settled) < delay-20*time.Millisecond {
		t.Errorf("redelivered after %s, want %s", time.Since(settled), delay)
	}
	d.Settle(delivery.Done())
	waitEmpty(t, js, messages.StreamOrders)
}

func TestHeldDeliveriesAreExtended(t *testing.T) {
	t.Parallel()
	// On a busy machine an in-progress ack may be late by more than half of testAckWait.
	const ackWait = 3 * testAckWait
	_, js := startServerWith(t, ackWait)
	in := startInbox(t, js, ingress.Config{AckWait: ackWait})
	storeOrder(t, js, "held")
	held := in.next()
	in.expectNone(2 * ackWait)
	dropped := time.Now()
	storeOrder(t, js, "dropped")
	in.next().Settle(delivery.Dropped())
	again := in.next()
	if again.OrderID != "dropped" || again.Deliveries != 2 {
		t.Errorf("got delivery %d of order %s, want delivery 2 of the dropped one", again.Deliveries, again.OrderID)
	}
	if after := time.Since(dropped); after < ackWait/2 {
		t.Errorf("a dropped delivery is redelivered after %s, want the ack wait", after)
	}
	again.Settle(delivery.Done())
	held.Settle(delivery.Done())
	waitEmpty(t, js, messages.StreamOrders)
}

func TestMaxInFlight(t *testing.T) {
	for name, c := range map[string]struct {
		cfg   ingress.Config
		limit int
	}{
		"2":  {ingress.Config{MaxInFlight: 2}, 2},
		"16": {ingress.Config{MaxInFlight: 16}, 16},
		"64": {ingress.Config{MaxInFlight: 64}, 64},
		// The server could not process the in-progress acks of more.
		"1024 per second of ack wait": {ingress.Config{AckWait: 100 * time.Millisecond}, 102},
	} {
		t.Run(name, func(t *testing.T) {
			_, js := startServerNoRedelivery(t)
			in := startInbox(t, js, c.cfg)
			const total = 200
			for n := range total {
				id := fmt.Sprintf("o-%d", n)
				if _, err := js.PublishAsync("ORDER."+id, []byte(orderJSON(id))); err != nil {
					t.Fatal(err)
				}
			}
			<-js.PublishAsyncComplete()
			orders := c.limit - max(1, c.limit/8)
			held := in.hold(orders)
			in.expectNone(300 * time.Millisecond)
			if info := consumerInfo(t, js); info.NumAckPending != orders {
				t.Errorf("the server counts %d deliveries, want %d", info.NumAckPending, orders)
			}
			for _, d := range held {
				d.Settle(delivery.Done())
			}
			for done := len(held); done < total; done++ {
				d := in.next()
				if n := 1 + len(in.deliveries); n > orders {
					t.Errorf("the node holds %d deliveries, want at most %d", n, orders)
				}
				d.Settle(delivery.Done())
			}
			waitEmpty(t, js, messages.StreamOrders)
			if info := consumerInfo(t, js); info.NumRedelivered != 0 {
				t.Errorf("%d messages were redelivered", info.NumRedelivered)
			}
		})
	}
}

func TestWakeUpsAndOrdersDoNotStarveEachOther(t *testing.T) {
	_, js := startServer(t)
	in := startInbox(t, js, ingress.Config{MaxInFlight: 16})
	storeOrders(t, js, 50)
	in.hold(14)
	storeMsg(t, js, "ORDER_WAKE.w", nats.Header{messages.HeaderPark: {"1"}}, "")
	if d := in.next(); d.Type != messages.TypeWake {
		t.Errorf("got %s", d.Type)
	}
}

func TestServerRestart(t *testing.T) {
	s, js := startServer(t)
	in := startInbox(t, js, ingress.Config{MaxInFlight: 32})
	for n := range 10 {
		storeOrder(t, js, fmt.Sprintf("before-%d", n))
	}
	held := in.hold(10)
	s.Stop()
	held[1].Settle(delivery.Done()) // sent after the reconnect
	delete(held, 1)
	s.Start()
	waitReconnected(t, js.Conn(), 1)
	for _, d := range held {
		d.Settle(delivery.Done())
	}
	seen := map[messages.OrderID]bool{}
	for n := range 100 {
		storeOrder(t, js, fmt.Sprintf("after-%d", n))
	}
	for len(seen) < 100 {
		d := in.next()
		if strings.HasPrefix(string(d.OrderID), "after") {
			seen[d.OrderID] = true
		}
		d.Settle(delivery.Done())
	}
	in.settleAll(js)
	if err := in.drain(natstest.Context(t)); err != nil {
		t.Error(err)
	}
}

// The connection is lost while the server runs.
func TestReconnects(t *testing.T) {
	s, js := startServer(t)
	in := startInbox(t, js, ingress.Config{MaxInFlight: 32})
	clients := s.JetStream()
	const total = 400
	seen := map[messages.OrderID]bool{}
	for n := range total {
		id := fmt.Sprintf("o-%d", n)
		storeOrder(t, clients, id)
		if n%50 == 25 {
			if err := js.Conn().ForceReconnect(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for len(seen) < total {
		d := in.next()
		seen[d.OrderID] = true
		d.Settle(delivery.Done())
	}
	in.settleAll(clients)
}

func TestRunReportsDeletedConsumer(t *testing.T) {
	_, js := startServer(t)
	in := startInbox(t, js, ingress.Config{})
	storeOrder(t, js, "o")
	in.next().Settle(delivery.Done())
	if err := js.DeleteConsumer(natstest.Context(t), messages.StreamOrders, messages.Consumer); err != nil {
		t.Fatal(err)
	}
	err := natstest.Receive(t, in.ran, "the return of Run")
	in.ran <- err
	if !errors.Is(err, jetstream.ErrConsumerNotFound) || !strings.Contains(err.Error(), "consumer orderly of stream ORDERS does not exist") {
		t.Errorf("got %v", err)
	}
}

func TestNewRefusesInvalidConfig(t *testing.T) {
	_, js := startServer(t)
	for _, cfg := range []ingress.Config{{MaxInFlight: 1}, {MaxInFlight: 20_001}, {AckWait: time.Millisecond}, {PollInterval: -1}} {
		if _, err := ingress.New(js, cfg, func(*delivery.Delivery) {}); err == nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
}
