package ingress_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// inbox is the stream of orders.
func inbox(t *testing.T, js jetstream.JetStream) jetstream.Stream {
	t.Helper()
	s, err := js.Stream(within(t), messages.StreamOrders)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestPublishingTwice: the stream takes the second for the first by its id, whatever is in it, and it is stored all the
// same: what it is, only the journal can tell.
func TestPublishingTwice(t *testing.T) {
	b, js := ready(t)
	orders := inbox(t, js)
	for _, batch := range []bool{false, true} {
		p := newPublisher(t, b.connect(), ingress.PublisherConfig{Batch: batch})
		before := stored(t, js, messages.StreamOrders)
		var got answers
		bodies := map[string]proto.Message{}
		for n := range 20 { // under each id two orders, and every other pair differs
			o := order(messages.OrderID(fmt.Sprintf("o-%v-%d", batch, n/2)))
			o.Body.(*messages.OrderCreated).CustomerId = fmt.Sprint(n % 4 / 3)
			bodies[fmt.Sprint(n)] = o.Body
			if err := p.Publish(within(t), o, got.to(fmt.Sprint(n))); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Flush(within(t)); err != nil {
			t.Fatal(err)
		}
		if n := stored(t, js, messages.StreamOrders); n != before+20 {
			t.Errorf("batch %v: %d messages are stored, want 20", batch, n-before)
		}
		for n := range 20 {
			key := fmt.Sprint(n)
			r := got.receipts[key]
			if r.Duplicate != (n%2 == 1) || got.calls[key] != 1 {
				t.Errorf("batch %v, message %d: %+v %v, %d answers", batch, n, r, got.errs[key], got.calls[key])
			}
			m, err := orders.GetMsg(within(t), r.Sequence)
			if err != nil {
				t.Fatal(err)
			}
			there := new(messages.OrderCreated)
			if err := proto.Unmarshal(m.Data, there); err != nil || !proto.Equal(there, bodies[key]) {
				t.Errorf("batch %v, message %d: its receipt leads to %v %v", batch, n, there, err)
			}
			if named := m.Header.Get(nats.MsgIdHdr) != ""; named == r.Duplicate {
				t.Errorf("batch %v, message %d has the headers %v", batch, n, m.Header)
			}
		}
	}
}

// TestPublishingAfterOthers: whatever somebody published under the id, the order is stored.
func TestPublishingAfterOthers(t *testing.T) {
	b, js := ready(t)
	desk := openDesk(t, js, ingress.Config{})
	for n, batch := range []bool{false, true} {
		p := newPublisher(t, b.connect(), ingress.PublisherConfig{Batch: batch})
		id := messages.OrderID(fmt.Sprintf("o-%v", batch))
		publish(t, js, "ORDER."+string(id), nats.Header{nats.MsgIdHdr: {string(id)}}, "{")
		eventually(t, "a dead letter", func() bool { return stored(t, js, messages.StreamDead) == uint64(n+1) })
		var got answers
		out := order(id)
		out.Traceparent = "tp"
		if err := p.Publish(within(t), out, got.to("it")); err != nil {
			t.Fatal(err)
		}
		if err := p.Flush(within(t)); err != nil {
			t.Fatal(err)
		}
		if r := got.receipts["it"]; !r.Duplicate || got.errs["it"] != nil {
			t.Errorf("got %+v %v", r, got.errs)
		}
		if d := desk.next(); d.Invalid != nil || d.OrderID != id || d.Traceparent != "tp" {
			t.Errorf("got %+v", d)
		} else {
			d.Settle(delivery.Done())
		}
	}
}

// TestPublishingAgainUnderAGivenID: who gives an id wants the message stored once.
func TestPublishingAgainUnderAGivenID(t *testing.T) {
	b, js := ready(t)
	for _, batch := range []bool{false, true} {
		p := newPublisher(t, b.connect(), ingress.PublisherConfig{Batch: batch})
		before := stored(t, js, messages.StreamOrders)
		var got answers
		for n, o := range []ingress.Outgoing{order("o"), order("o"), {OrderID: "o", Body: &messages.RetryOrder{}}, {OrderID: "o", Body: &messages.RetryOrder{}}} {
			o.ID = fmt.Sprintf("%v-%s", batch, o.Body.ProtoReflect().Descriptor().Name())
			if err := p.Publish(within(t), o, got.to(fmt.Sprint(n))); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Flush(within(t)); err != nil {
			t.Fatal(err)
		}
		for n := range 4 {
			if r := got.receipts[fmt.Sprint(n)]; r.Sequence != before+uint64(n/2)+1 || r.Duplicate != (n%2 == 1) {
				t.Errorf("batch %v, message %d: %+v %v", batch, n, r, got.errs)
			}
		}
	}
}

// TestPublishingAgainKeepsItsPlace: until a message that is published again is answered for, it counts, for those who
// wait for room and for Flush; Close answers for it, once. The stream here says of every id that it knows it, and
// answers for nothing without one.
func TestPublishingAgainKeepsItsPlace(t *testing.T) {
	b := startBroker(t)
	stream := b.connect()
	var again atomic.Int32
	if _, err := stream.Subscribe("ORDER.*", func(m *nats.Msg) {
		if m.Header.Get(nats.MsgIdHdr) == "" {
			again.Add(1)
			return
		}
		_ = m.Respond([]byte(`{"stream":"ORDERS","seq":1,"duplicate":true}`))
	}); err != nil {
		t.Fatal(err)
	}
	if err := stream.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, batch := range []bool{false, true} {
		again.Store(0)
		p := newPublisher(t, b.connect(), ingress.PublisherConfig{MaxPending: 1, AckTimeout: patience, Batch: batch})
		var got answers
		if err := p.Publish(within(t), order("o"), got.to("it")); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is published again", func() bool { return again.Load() == 1 })
		soon, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := p.Publish(soon, order("o-2"), nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("batch %v: there is room: %v", batch, err)
		}
		if err := p.Flush(soon); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("batch %v: flush does not wait: %v", batch, err)
		}
		cancel()
		p.Close()
		if err := got.errs["it"]; !errors.Is(err, ingress.ErrClosed) || got.calls["it"] != 1 {
			t.Errorf("batch %v: %v, answered for %d times", batch, err, got.calls["it"])
		}
	}
}

// TestKnownWhileClosing: that the stream knows the id comes out while Close is under way, which holds up here for whoever
// is told that its message was not acknowledged.
func TestKnownWhileClosing(t *testing.T) {
	b := startBroker(t)
	stream := b.connect()
	sub, err := stream.SubscribeSync("ORDER.known")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.SubscribeSync("ORDER.lost"); err != nil {
		t.Fatal(err)
	}
	if err := stream.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, batch := range []bool{false, true} {
		p := newPublisher(t, b.connect(), ingress.PublisherConfig{AckTimeout: 200 * time.Millisecond, Batch: batch})
		told, release := make(chan struct{}), make(chan struct{})
		if err := p.Publish(within(t), order("lost"), func(ingress.PubAck, error) { close(told); <-release }); err != nil {
			t.Fatal(err)
		}
		<-told // nothing expires from now on
		answered := make(chan error, 2)
		if err := p.Publish(within(t), order("known"), func(_ ingress.PubAck, err error) { answered <- err }); err != nil {
			t.Fatal(err)
		}
		m, err := sub.NextMsgWithContext(within(t))
		if err != nil {
			t.Fatal(err)
		}
		var closing sync.WaitGroup
		closing.Go(p.Close)
		eventually(t, "it is being closed", func() bool {
			now, cancel := context.WithCancel(t.Context())
			cancel()
			return errors.Is(p.Publish(now, order("lost"), nil), ingress.ErrClosed)
		})
		if err := m.Respond([]byte(`{"stream":"ORDERS","seq":1,"duplicate":true}`)); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-answered:
			if !errors.Is(err, ingress.ErrClosed) {
				t.Errorf("batch %v: %v", batch, err)
			}
		case <-time.After(patience):
			t.Errorf("batch %v: no answer", batch)
		}
		close(release)
		closing.Wait()
	}
}

// TestPublishingAgainWhileClosing: whenever it is closed, every message that was taken is answered for, once.
func TestPublishingAgainWhileClosing(t *testing.T) {
	b, js := ready(t)
	ctx := within(t)
	var got answers
	taken := map[string]bool{}
	for round := range 20 {
		p := newPublisher(t, b.connect(), ingress.PublisherConfig{MaxPending: 4, Batch: round%2 == 1})
		var mu sync.Mutex
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for n := 0; ; n++ {
					key := fmt.Sprintf("%d-%d-%d", round, g, n)
					if p.Publish(ctx, order("o"), got.to(key)) != nil {
						return
					}
					mu.Lock()
					taken[key] = true
					mu.Unlock()
				}
			})
		}
		before := stored(t, js, messages.StreamOrders)
		eventually(t, "they are stored", func() bool { return stored(t, js, messages.StreamOrders) > before+uint64(round) })
		p.Close()
		wg.Wait()
		if err := p.Flush(within(t)); err != nil {
			t.Fatal(err)
		}
	}
	for key := range taken {
		if got.calls[key] != 1 {
			t.Errorf("message %s is answered for %d times", key, got.calls[key])
		}
	}
}
