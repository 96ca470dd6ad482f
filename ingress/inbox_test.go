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
)

func TestDelivery(t *testing.T) {
	_, js := ready(t)
	desk := openDesk(t, js, ingress.Config{})
	const parent, state = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "vendor=x"

	seq := publish(t, js, "ORDER.o-1", nats.Header{"traceparent": {parent}, "tracestate": {state}}, created("o-1"))
	d := desk.next()
	if d.OrderID != "o-1" || d.Type != messages.TypeCreated || d.Stream != "ORDERS" || d.Sequence != seq || d.Deliveries != 1 || !d.Fresh() {
		t.Errorf("got %+v", d)
	}
	if d.Traceparent != parent || d.Tracestate != state {
		t.Errorf("trace context %q, %q", d.Traceparent, d.Tracestate)
	}
	if age := time.Since(d.Stored); age < 0 || age > patience || d.Received.Before(d.Stored) {
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
		{messages.TypeSignal, `{"name":"paid","data":7}`, func(d *delivery.Delivery) bool { return d.Signal.GetData().GetNumberValue() == 7 }},
		{messages.TypeRetry, ``, func(d *delivery.Delivery) bool { return d.Created == nil }},
		{messages.TypeSkip, `{}`, func(d *delivery.Delivery) bool { return d.Created == nil && d.Skip.GetStep() == "" }},
		{messages.TypeSkip, `{"step":"pay","direction":"undo"}`, func(d *delivery.Delivery) bool {
			return d.Skip.GetStep() == "pay" && d.Skip.GetDirection() == messages.Undo.Label()
		}},
	} {
		publish(t, js, "ORDER.o-1", nats.Header{messages.HeaderType: {string(c.kind)}}, c.body)
		other := desk.next()
		if other.Type != c.kind || !c.ok(other) {
			t.Errorf("got %+v", other)
		}
		if other.Incarnation == d.Incarnation || other.Incarnation == "" {
			t.Errorf("incarnation %q is not fresh", other.Incarnation)
		}
		other.Settle(delivery.Done())
	}

	publish(t, js, "ORDER_WAKE.o-1", nats.Header{messages.HeaderPark: {"42"}, "traceparent": {parent}}, "")
	wake := desk.next()
	if wake.Type != messages.TypeWake || wake.Park != 42 || wake.Stream != messages.StreamTimers || wake.OrderID != "o-1" || wake.Traceparent != parent {
		t.Errorf("got %+v", wake)
	}
	wake.Settle(delivery.Done())
	emptied(t, js, messages.StreamOrders)
	emptied(t, js, messages.StreamTimers)
	if err := desk.drain(); err != nil {
		t.Error(err)
	}
}

func TestInvalidOrdersAreDelivered(t *testing.T) {
	_, js := ready(t)
	desk := openDesk(t, js, ingress.Config{})
	publish(t, js, "ORDER.o-1", nil, `{"order_id":"o-1","items":[]}`)
	if d := desk.next(); d.Created == nil || d.Invalid == nil || !strings.Contains(d.Invalid.Error(), "customer_id is missing") {
		t.Errorf("got %v, %v", d.Created, d.Invalid)
	}
	publish(t, js, "ORDER.o-2", nil, strings.Replace(created(""), `"order_id":"",`, "", 1))
	d := desk.next()
	if d.Created.GetOrderId() != "o-2" || d.Invalid == nil || !strings.Contains(d.Invalid.Error(), "order_id is missing") {
		t.Errorf("got %v, %v", d.Created, d.Invalid)
	}
}

func TestOnlyTheFirstSettlementCounts(t *testing.T) {
	all := map[string]delivery.Outcome{"done": delivery.Done(), "later": delivery.Later(0), "dead": delivery.Dead("no"), "dropped": delivery.Dropped()}
	for name, first := range all {
		t.Run(name, func(t *testing.T) {
			_, js := ready(t)
			desk := openDesk(t, js, ingress.Config{MaxInFlight: 4})
			const total = 12
			for n := range total {
				publish(t, js, fmt.Sprintf("ORDER.o-%d", n), nil, created(fmt.Sprintf("o-%d", n)))
			}
			for range 3 { // all there is room for
				d := desk.next()
				d.Settle(first)
				var wg sync.WaitGroup
				for _, o := range all {
					wg.Go(func() { d.Settle(o) })
				}
				wg.Wait()
			}
			for range 3 {
				desk.next()
			}
			desk.none(testAckWait / 4) // what is settled twice makes room once
			left := uint64(total)
			if name == "done" || name == "dead" {
				left -= 3
			}
			eventually(t, "the first settlement has its effect", func() bool { return stored(t, js, messages.StreamOrders) == left })
			wantDead := uint64(0)
			if name == "dead" {
				wantDead = 3
			}
			if n := stored(t, js, messages.StreamDead); n != wantDead {
				t.Errorf("%d dead letters, want %d", n, wantDead)
			}
		})
	}
}

func TestLater(t *testing.T) {
	_, js := ready(t)
	desk := openDesk(t, js, ingress.Config{})
	publish(t, js, "ORDER.o", nil, created("o"))
	desk.next().Settle(delivery.Later(0))
	d := desk.next()
	if d.Deliveries != 2 || d.Fresh() {
		t.Errorf("delivered %d times", d.Deliveries)
	}
	const delay = 300 * time.Millisecond
	then := time.Now()
	d.Settle(delivery.Later(delay))
	if d = desk.next(); time.Since(then) < delay-20*time.Millisecond {
		t.Errorf("delivered again after %s, asked for %s", time.Since(then), delay)
	}
	d.Settle(delivery.Done())
	emptied(t, js, messages.StreamOrders)
}

func TestSignsOfLife(t *testing.T) {
	t.Parallel()
	// A sign of life may come later than on time by half of it and more.
	const ackWait = 3 * testAckWait
	js := jetStream(t, startBroker(t).connect())
	ensureWith(t, js, ackWait)
	desk := openDesk(t, js, ingress.Config{AckWait: ackWait})
	publish(t, js, "ORDER.held", nil, created("held"))
	held := desk.next()
	desk.none(2 * ackWait)
	then := time.Now()
	publish(t, js, "ORDER.dropped", nil, created("dropped"))
	desk.next().Settle(delivery.Dropped())
	again := desk.next()
	if again.OrderID != "dropped" || again.Deliveries != 2 {
		t.Errorf("%s is delivered again", again.OrderID)
	}
	if after := time.Since(then); after < ackWait/2 {
		t.Errorf("a dropped delivery comes back after %s, want the ack wait", after)
	}
	again.Settle(delivery.Done())
	held.Settle(delivery.Done())
	emptied(t, js, messages.StreamOrders)
}

func TestNoMoreThanThereIsRoomFor(t *testing.T) {
	for name, c := range map[string]struct {
		cfg   ingress.Config
		limit int
	}{
		"2":  {ingress.Config{MaxInFlight: 2}, 2},
		"16": {ingress.Config{MaxInFlight: 16}, 16},
		"64": {ingress.Config{MaxInFlight: 64}, 64},
		// The signs of life of more would be too many for the server.
		"as many as can give signs of life": {ingress.Config{AckWait: 100 * time.Millisecond}, 102},
	} {
		t.Run(name, func(t *testing.T) {
			_, js := patient(t)
			desk := openDesk(t, js, c.cfg)
			const total = 200
			for n := range total {
				id := fmt.Sprintf("o-%d", n)
				if _, err := js.PublishAsync("ORDER."+id, []byte(created(id))); err != nil {
					t.Fatal(err)
				}
			}
			<-js.PublishAsyncComplete()
			orders := c.limit - max(1, c.limit/8)
			var held []*delivery.Delivery
			for range orders {
				held = append(held, desk.next())
			}
			desk.none(300 * time.Millisecond)
			if info := consumer(t, js); info.NumAckPending != orders {
				t.Errorf("the server counts %d deliveries, want %d", info.NumAckPending, orders)
			}
			for n, d := range held {
				d.Settle(delivery.Done())
				held[n] = nil
			}
			for done := len(held); done < total; done++ {
				d := desk.next()
				if n := 1 + len(desk.deliveries); n > orders {
					t.Errorf("the node holds %d deliveries, want at most %d", n, orders)
				}
				d.Settle(delivery.Done())
			}
			emptied(t, js, messages.StreamOrders)
			if info := consumer(t, js); info.NumRedelivered != 0 {
				t.Errorf("%d deliveries went astray", info.NumRedelivered)
			}
		})
	}
}

func TestWakeUpsAndOrdersDoNotStarveEachOther(t *testing.T) {
	_, js := ready(t)
	desk := openDesk(t, js, ingress.Config{MaxInFlight: 16})
	for n := range 50 {
		publish(t, js, fmt.Sprintf("ORDER.o-%d", n), nil, created(fmt.Sprintf("o-%d", n)))
	}
	for range 14 {
		desk.next()
	}
	publish(t, js, "ORDER_WAKE.w", nats.Header{messages.HeaderPark: {"1"}}, "")
	if d := desk.next(); d.Type != messages.TypeWake {
		t.Errorf("got %s", d.Type)
	}
}

func TestServerRestart(t *testing.T) {
	b, js := ready(t)
	desk := openDesk(t, js, ingress.Config{MaxInFlight: 32})
	for n := range 10 {
		publish(t, js, fmt.Sprintf("ORDER.before-%d", n), nil, created(fmt.Sprintf("before-%d", n)))
	}
	var held []*delivery.Delivery
	for range 10 {
		held = append(held, desk.next())
	}
	b.stop()
	held[0].Settle(delivery.Done()) // sent when the connection is back
	b.start()
	reconnected(t, js.Conn(), 1)
	for _, d := range held[1:] {
		d.Settle(delivery.Done())
	}
	seen := map[messages.OrderID]bool{}
	for n := range 100 {
		publish(t, js, fmt.Sprintf("ORDER.after-%d", n), nil, created(fmt.Sprintf("after-%d", n)))
	}
	for len(seen) < 100 {
		d := desk.next()
		if strings.HasPrefix(string(d.OrderID), "after") {
			seen[d.OrderID] = true
		}
		d.Settle(delivery.Done())
	}
	desk.finish(js)
	if err := desk.drain(); err != nil {
		t.Error(err)
	}
}

// The connection is cut without the server going away.
func TestConnectionLostAgainAndAgain(t *testing.T) {
	b, js := ready(t)
	desk := openDesk(t, js, ingress.Config{MaxInFlight: 32})
	clients := jetStream(t, b.connect())
	const total = 400
	seen := map[messages.OrderID]bool{}
	for n := range total {
		id := fmt.Sprintf("o-%d", n)
		publish(t, clients, "ORDER."+id, nil, created(id))
		if n%50 == 25 {
			if err := js.Conn().ForceReconnect(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for len(seen) < total {
		d := desk.next()
		seen[d.OrderID] = true
		d.Settle(delivery.Done())
	}
	desk.finish(clients)
}

func TestRunSaysThatTheConsumerIsGone(t *testing.T) {
	_, js := ready(t)
	desk := openDesk(t, js, ingress.Config{})
	publish(t, js, "ORDER.o", nil, created("o"))
	desk.next().Settle(delivery.Done())
	if err := js.DeleteConsumer(within(t), messages.StreamOrders, messages.Consumer); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-desk.ran:
		desk.ran <- err
		if !errors.Is(err, jetstream.ErrConsumerNotFound) || !strings.Contains(err.Error(), "consumer orderly of stream ORDERS is gone") {
			t.Errorf("got %v", err)
		}
	case <-time.After(patience):
		t.Fatal("Run does not notice")
	}
}

func TestNewRefuses(t *testing.T) {
	_, js := ready(t)
	for _, cfg := range []ingress.Config{{MaxInFlight: 1}, {MaxInFlight: 20_001}, {AckWait: time.Millisecond}, {PollInterval: -1}} {
		if _, err := ingress.New(js, cfg, func(*delivery.Delivery) {}); err == nil {
			t.Errorf("%+v passes", cfg)
		}
	}
}
