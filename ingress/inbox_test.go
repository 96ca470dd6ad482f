package ingress_test

import (
	"context"
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
)

// desk is an inbox whose deliveries a test takes one by one.
type desk struct {
	t          testing.TB
	inbox      *ingress.Inbox
	deliveries chan *messages.Delivery
	stop       context.CancelFunc
	ran        chan error
	drained    bool
}

func openDesk(t testing.TB, js jetstream.JetStream, cfg ingress.Config) *desk {
	t.Helper()
	d := &desk{t: t, deliveries: make(chan *messages.Delivery, 1<<16), ran: make(chan error, 1)}
	d.open(js, cfg, func(m *messages.Delivery) { d.deliveries <- m })
	return d
}

func (d *desk) open(js jetstream.JetStream, cfg ingress.Config, deliver func(*messages.Delivery)) {
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

func (d *desk) next() *messages.Delivery {
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
				m.Settle(messages.Done())
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
	d.Settle(messages.Done())

	for _, c := range []struct {
		kind messages.Type
		body string
		ok   func(*messages.Delivery) bool
	}{
		{messages.TypeCancel, `{"reason":"no more"}`, func(d *messages.Delivery) bool { return d.Cancel.GetReason() == "no more" }},
		{messages.TypeSignal, `{"name":"paid","data":7}`, func(d *messages.Delivery) bool { return d.Signal.GetData().GetNumberValue() == 7 }},
		{messages.TypeRetry, ``, func(d *messages.Delivery) bool { return d.Created == nil }},
		{messages.TypeSkip, `{}`, func(d *messages.Delivery) bool { return d.Created == nil }},
	} {
		publish(t, js, "ORDER.o-1", nats.Header{messages.HeaderType: {string(c.kind)}}, c.body)
		other := desk.next()
		if other.Type != c.kind || !c.ok(other) {
			t.Errorf("got %+v", other)
		}
		if other.Incarnation == d.Incarnation || other.Incarnation == "" {
			t.Errorf("incarnation %q is not fresh", other.Incarnation)
		}
		other.Settle(messages.Done())
	}

	publish(t, js, "ORDER_WAKE.o-1", nats.Header{messages.HeaderPark: {"42"}, "traceparent": {parent}}, "")
	wake := desk.next()
	if wake.Type != messages.TypeWake || wake.Park != 42 || wake.Stream != messages.StreamTimers || wake.OrderID != "o-1" || wake.Traceparent != parent {
		t.Errorf("got %+v", wake)
	}
	wake.Settle(messages.Done())
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
	all := map[string]messages.Outcome{"done": messages.Done(), "later": messages.Later(0), "dead": messages.Dead("no"), "dropped": messages.Dropped()}
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
	desk.next().Settle(messages.Later(0))
	d := desk.next()
	if d.Deliveries != 2 || d.Fresh() {
		t.Errorf("delivered %d times", d.Deliveries)
	}
	const delay = 300 * time.Millisecond
	then := time.Now()
	d.Settle(messages.Later(delay))
	if d = desk.next(); time.Since(then) < delay-20*time.Millisecond {
		t.Errorf("delivered again after %s, asked for %s", time.Since(then), delay)
	}
	d.Settle(messages.Done())
	emptied(t, js, messages.StreamOrders)
}

func TestSignsOfLife(t *testing.T) {
	_, js := ready(t)
	desk := openDesk(t, js, ingress.Config{})
	publish(t, js, "ORDER.held", nil, created("held"))
	held := desk.next()
	desk.none(3 * testAckWait)
	publish(t, js, "ORDER.dropped", nil, created("dropped"))
	dropped := desk.next()
	then := time.Now()
	dropped.Settle(messages.Dropped())
	again := desk.next()
	if again.OrderID != "dropped" || again.Deliveries != 2 {
		t.Errorf("%s is delivered again", again.OrderID)
	}
	if after := time.Since(then); after < testAckWait/2 || after > 2*testAckWait {
		t.Errorf("a dropped delivery comes back after %s, want the ack wait", after)
	}
	again.Settle(messages.Done())
	held.Settle(messages.Done())
	emptied(t, js, messages.StreamOrders)
}

func TestNoMoreThanThereIsRoomFor(t *testing.T) {
	for _, limit := range []int{2, 16, 64} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			_, js := ready(t)
			desk := openDesk(t, js, ingress.Config{MaxInFlight: limit})
			const total = 200
			for n := range total {
				id := fmt.Sprintf("o-%d", n)
				if _, err := js.PublishAsync("ORDER."+id, []byte(created(id))); err != nil {
					t.Fatal(err)
				}
			}
			<-js.PublishAsyncComplete()
			orders := limit - max(1, limit/8)
			var held []*messages.Delivery
			for range orders {
				held = append(held, desk.next())
			}
			desk.none(300 * time.Millisecond)
			if info := consumer(t, js); info.NumAckPending != orders {
				t.Errorf("the server counts %d deliveries, want %d", info.NumAckPending, orders)
			}
			for n, d := range held {
				d.Settle(messages.Done())
				held[n] = nil
			}
			for done := len(held); done < total; done++ {
				d := desk.next()
				if n := 1 + len(desk.deliveries); n > orders {
					t.Errorf("the node holds %d deliveries, want at most %d", n, orders)
				}
				d.Settle(messages.Done())
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
	var held []*messages.Delivery
	for range 10 {
		held = append(held, desk.next())
	}
	b.stop()
	held[0].Settle(messages.Done()) // sent when the connection is back
	b.start()
	reconnected(t, js.Conn())
	for _, d := range held[1:] {
		d.Settle(messages.Done())
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
		d.Settle(messages.Done())
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
		d.Settle(messages.Done())
	}
	desk.finish(clients)
}

func TestRunSaysThatTheConsumerIsGone(t *testing.T) {
	_, js := ready(t)
	desk := openDesk(t, js, ingress.Config{})
	publish(t, js, "ORDER.o", nil, created("o"))
	desk.next().Settle(messages.Done())
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

func TestDrainWaitsAndStops(t *testing.T) {
	b, js := ready(t)
	desk := openDesk(t, js, ingress.Config{MaxInFlight: 8})
	for n := range 20 {
		publish(t, js, fmt.Sprintf("ORDER.o-%d", n), nil, created(fmt.Sprintf("o-%d", n)))
	}
	var held []*messages.Delivery
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
		d.Settle(messages.Done())
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
		other.next().Settle(messages.Done())
	}
	emptied(t, js, messages.StreamOrders)
}

func TestDrainTellsWhatIsLeft(t *testing.T) {
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
	left.Settle(messages.Dropped())
}

// What the inbox has taken but nobody has seen goes to others at once.
func TestUnseenMessagesAreGivenBack(t *testing.T) {
	b, js := ready(t)
	slow := make(chan struct{})
	first := &desk{t: t, deliveries: make(chan *messages.Delivery, 100), ran: make(chan error, 1)}
	first.open(js, ingress.Config{MaxInFlight: 64, AckWait: time.Minute}, func(d *messages.Delivery) {
		first.deliveries <- d
		<-slow // the others wait behind this one
	})
	for n := range 20 {
		publish(t, js, fmt.Sprintf("ORDER.o-%d", n), nil, created(fmt.Sprintf("o-%d", n)))
	}
	held := first.next()
	eventually(t, "all are on their way", func() bool { return consumer(t, js).NumAckPending == 20 })
	first.stop()
	// Run is closing once its first puller refuses.
	go func() { <-time.After(100 * time.Millisecond); close(slow) }()
	first.close()
	held.Settle(messages.Done())
	other := openDesk(t, jetStream(t, b.connect()), ingress.Config{})
	then := time.Now()
	for range 19 {
		other.next().Settle(messages.Done())
	}
	if time.Since(then) > testAckWait/2 {
		t.Errorf("the others wait %s, as if the node had died", time.Since(then))
	}
}

func TestNewRefuses(t *testing.T) {
	_, js := ready(t)
	for _, cfg := range []ingress.Config{{MaxInFlight: 1}, {MaxInFlight: 20_001}, {AckWait: time.Millisecond}, {Poll: -1}} {
		if _, err := ingress.New(js, cfg, func(*messages.Delivery) {}); err == nil {
			t.Errorf("%+v passes", cfg)
		}
	}
}
