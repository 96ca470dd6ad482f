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
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// The stream drops the second order of an id as a duplicate, whatever its content. It is stored nevertheless: only the journal
// can tell whether it is the same order.
func TestDuplicateOrderIsStored(t *testing.T) {
	s, js := startServer(t)
	orders := openStream(t, js, messages.StreamOrders)
	for _, batch := range []bool{false, true} {
		p := newPublisher(t, s.Connect(), ingress.PublisherConfig{Batch: batch})
		before := countStored(t, js, messages.StreamOrders)
		var got ackLog
		bodies := map[string]proto.Message{}
		for n := range 200 { // two orders per id; every other pair differs
			o := newOrder(messages.OrderID(fmt.Sprintf("o-%v-%d", batch, n/2)))
			o.Body.(*messages.OrderCreated).CustomerId = fmt.Sprint(n % 4 / 3)
			bodies[fmt.Sprint(n)] = o.Body
			if err := p.Publish(natstest.Context(t), o, got.record(fmt.Sprint(n))); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Flush(natstest.Context(t)); err != nil {
			t.Fatal(err)
		}
		if n := countStored(t, js, messages.StreamOrders); n != before+200 {
			t.Errorf("batch %v: %d messages are stored, want 200", batch, n-before)
		}
		for n := range 200 {
			key := fmt.Sprint(n)
			r := got.acks[key]
			if r.Duplicate != (n%2 == 1) || got.calls[key] != 1 {
				t.Errorf("batch %v, message %d: %+v %v, %d acks", batch, n, r, got.errs[key], got.calls[key])
			}
			m, err := orders.GetMsg(natstest.Context(t), r.Sequence)
			if err != nil {
				t.Fatal(err)
			}
			there := new(messages.OrderCreated)
			if err := proto.Unmarshal(m.Data, there); err != nil || !proto.Equal(there, bodies[key]) {
				t.Errorf("batch %v, message %d: its ack leads to %v %v", batch, n, there, err)
			}
			if named := m.Header.Get(nats.MsgIdHdr) != ""; named == r.Duplicate {
				t.Errorf("batch %v, message %d has the headers %v", batch, n, m.Header)
			}
		}
	}
}

// The order is stored, also if another client published any message with the id.
func TestOrderAfterInvalidOneIsStored(t *testing.T) {
	s, js := startServer(t)
	in := startInbox(t, js, ingress.Config{})
	for n, batch := range []bool{false, true} {
		p := newPublisher(t, s.Connect(), ingress.PublisherConfig{Batch: batch})
		id := messages.OrderID(fmt.Sprintf("o-%v", batch))
		storeMsg(t, js, "ORDER."+string(id), nats.Header{nats.MsgIdHdr: {string(id)}}, "{")
		natstest.Eventually(t, "a dead letter", func() bool { return countStored(t, js, messages.StreamDead) == uint64(n+1) })
		var got ackLog
		out := newOrder(id)
		out.Traceparent = "tp"
		if err := p.Publish(natstest.Context(t), out, got.record("it")); err != nil {
			t.Fatal(err)
		}
		if err := p.Flush(natstest.Context(t)); err != nil {
			t.Fatal(err)
		}
		if r := got.acks["it"]; !r.Duplicate || got.errs["it"] != nil {
			t.Errorf("got %+v %v", r, got.errs)
		}
		if d := in.next(); d.Invalid != nil || d.OrderID != id || d.Traceparent != "tp" {
			t.Errorf("got %+v", d)
		} else {
			d.Settle(delivery.Done())
		}
	}
}

// A message whose id is set by the caller is stored once.
func TestDuplicateOfGivenIDIsNotStored(t *testing.T) {
	s, js := startServer(t)
	for _, batch := range []bool{false, true} {
		p := newPublisher(t, s.Connect(), ingress.PublisherConfig{Batch: batch})
		before := countStored(t, js, messages.StreamOrders)
		var got ackLog
		for n, o := range []ingress.Outgoing{newOrder("o"), newOrder("o"), {OrderID: "o", Body: &messages.RetryOrder{}}, {OrderID: "o", Body: &messages.RetryOrder{}}} {
			o.ID = fmt.Sprintf("%v-%s", batch, o.Body.ProtoReflect().Descriptor().Name())
			if err := p.Publish(natstest.Context(t), o, got.record(fmt.Sprint(n))); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Flush(natstest.Context(t)); err != nil {
			t.Fatal(err)
		}
		for n := range 4 {
			if r := got.acks[fmt.Sprint(n)]; r.Sequence != before+uint64(n/2)+1 || r.Duplicate != (n%2 == 1) {
				t.Errorf("batch %v, message %d: %+v %v", batch, n, r, got.errs)
			}
		}
	}
}

// A republished message stays pending for MaxPending and Flush, and Close ends it once. The stream of this test reports every id
// as a duplicate, and does not answer messages without one.
func TestRepublishedMessageStaysPending(t *testing.T) {
	s := natstest.Start(t)
	stream := s.Connect()
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
		p := newPublisher(t, s.Connect(), ingress.PublisherConfig{MaxPending: 1, AckTimeout: natstest.Patience, Batch: batch})
		var got ackLog
		if err := p.Publish(natstest.Context(t), newOrder("o"), got.record("it")); err != nil {
			t.Fatal(err)
		}
		natstest.Eventually(t, "it is republished", func() bool { return again.Load() == 1 })
		soon, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := p.Publish(soon, newOrder("o-2"), nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("batch %v: a second message does not wait: %v", batch, err)
		}
		if err := p.Flush(soon); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("batch %v: Flush does not wait: %v", batch, err)
		}
		cancel()
		p.Close()
		if err := got.errs["it"]; !errors.Is(err, ingress.ErrClosed) || got.calls["it"] != 1 {
			t.Errorf("batch %v: %v, acked %d times", batch, err, got.calls["it"])
		}
	}
}

// A duplicate that is reported while Close is in progress ends with ErrClosed. The callback of another message holds up Close
// meanwhile.
func TestDuplicateWhileClosing(t *testing.T) {
	s := natstest.Start(t)
	stream := s.Connect()
	subs := map[string]*nats.Subscription{}
	for _, id := range []string{"first", "duplicate"} {
		var err error
		if subs[id], err = stream.SubscribeSync(messages.SubjectOrder + id); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.Flush(); err != nil {
		t.Fatal(err)
	}
	receive := func(id string) *nats.Msg {
		t.Helper()
		m, err := subs[id].NextMsgWithContext(natstest.Context(t))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	for _, batch := range []bool{false, true} {
		p := newPublisher(t, s.Connect(), ingress.PublisherConfig{AckTimeout: 2 * natstest.Patience, Batch: batch})
		acked, release := make(chan struct{}), make(chan struct{})
		if err := p.Publish(natstest.Context(t), newOrder("first"), func(ingress.PubAck, error) { close(acked); <-release }); err != nil {
			t.Fatal(err)
		}
		if err := receive("first").Respond([]byte(`{"stream":"ORDERS","seq":1}`)); err != nil {
			t.Fatal(err)
		}
		natstest.Receive(t, acked, "the ack of the first message")
		result := make(chan error, 2)
		if err := p.Publish(natstest.Context(t), newOrder("duplicate"), func(_ ingress.PubAck, err error) { result <- err }); err != nil {
			t.Fatal(err)
		}
		sent := receive("duplicate")
		var closing sync.WaitGroup
		closing.Go(p.Close)
		natstest.Eventually(t, "Close has begun", func() bool {
			return errors.Is(p.Publish(endedContext(), newOrder("refused"), nil), ingress.ErrClosed)
		})
		if err := sent.Respond([]byte(`{"stream":"ORDERS","seq":1,"duplicate":true}`)); err != nil {
			t.Fatal(err)
		}
		close(release)
		if err := natstest.Receive(t, result, "the result of the duplicate"); !errors.Is(err, ingress.ErrClosed) {
			t.Errorf("batch %v: %v", batch, err)
		}
		closing.Wait()
		if len(result) > 0 {
			t.Errorf("batch %v: a second result: %v", batch, <-result)
		}
	}
}

// Whenever the publisher is closed, every accepted message is acked once.
func TestRepublishWhileClosing(t *testing.T) {
	s, js := startServer(t)
	ctx := natstest.Context(t)
	var got ackLog
	accepted := map[string]bool{}
	for round := range 20 {
		p := newPublisher(t, s.Connect(), ingress.PublisherConfig{MaxPending: 4, Batch: round%2 == 1})
		var mu sync.Mutex
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for n := 0; ; n++ {
					key := fmt.Sprintf("%d-%d-%d", round, g, n)
					if p.Publish(ctx, newOrder("o"), got.record(key)) != nil {
						return
					}
					mu.Lock()
					accepted[key] = true
					mu.Unlock()
				}
			})
		}
		before := countStored(t, js, messages.StreamOrders)
		natstest.Eventually(t, "some are stored", func() bool { return countStored(t, js, messages.StreamOrders) > before+uint64(round) })
		p.Close()
		wg.Wait()
		if err := p.Flush(natstest.Context(t)); err != nil {
			t.Fatal(err)
		}
	}
	for key := range accepted {
		if got.calls[key] != 1 {
			t.Errorf("message %s is acked %d times", key, got.calls[key])
		}
	}
}
