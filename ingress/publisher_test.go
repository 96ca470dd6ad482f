package ingress_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
)

func newPublisher(t testing.TB, nc *nats.Conn, cfg ingress.PublisherConfig) *ingress.Publisher {
	t.Helper()
	p, err := ingress.NewPublisher(nc, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func newOrder(id messages.OrderID) ingress.Outgoing {
	return ingress.Outgoing{OrderID: id, Body: &messages.OrderCreated{OrderId: string(id), CustomerId: "c",
		Items: []*messages.OrderItem{{ProductId: "p", Quantity: 2, UnitPrice: 1.5}}}}
}

// ackLog collects the results that a publisher reports, by key.
type ackLog struct {
	mu    sync.Mutex
	acks  map[string]ingress.PubAck
	errs  map[string]error
	calls map[string]int
}

func (a *ackLog) record(key string) func(ingress.PubAck, error) {
	return func(r ingress.PubAck, err error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.acks == nil {
			a.acks, a.errs, a.calls = map[string]ingress.PubAck{}, map[string]error{}, map[string]int{}
		}
		a.calls[key]++
		if err != nil {
			a.errs[key] = err
			return
		}
		a.acks[key] = r
	}
}

// publishOrdersAndFlush publishes the orders o-0 to o-(n-1), recorded as 0 to n-1, and waits for their acks.
func publishOrdersAndFlush(t *testing.T, p *ingress.Publisher, acks *ackLog, n int) {
	t.Helper()
	for n := range n {
		if err := p.Publish(natstest.Context(t), newOrder(messages.OrderID(fmt.Sprintf("o-%d", n))), acks.record(fmt.Sprint(n))); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Flush(natstest.Context(t)); err != nil {
		t.Fatal(err)
	}
}

func TestPublisherAndInbox(t *testing.T) {
	s, js := startServer(t)
	in := startInbox(t, js, ingress.Config{})
	p := newPublisher(t, s.Connect(), ingress.PublisherConfig{})
	out := newOrder("o")
	out.Traceparent, out.Tracestate = "tp", "ts"
	var got ackLog
	for n, o := range []ingress.Outgoing{
		out,
		{OrderID: "o", Body: &messages.CancelOrder{Reason: "r"}},
		{OrderID: "o", Body: &messages.SignalOrder{Name: "s"}},
		{OrderID: "o", Body: &messages.RetryOrder{}},
		{OrderID: "o", Body: &messages.SkipStep{}, Type: messages.TypeSkip},
	} {
		if err := p.Publish(natstest.Context(t), o, got.record(fmt.Sprint(n))); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Flush(natstest.Context(t)); err != nil {
		t.Fatal(err)
	}
	for n, kind := range []messages.Type{messages.TypeCreated, messages.TypeCancel, messages.TypeSignal, messages.TypeRetry, messages.TypeSkip} {
		if r := got.acks[fmt.Sprint(n)]; r.Sequence != uint64(n+1) || r.Duplicate {
			t.Errorf("ack %d: %+v, %v", n, r, got.errs)
		}
		d := in.next()
		if d.Type != kind || d.OrderID != "o" || d.Invalid != nil {
			t.Errorf("got %+v", d)
		}
		if n == 0 && (d.Traceparent != "tp" || d.Tracestate != "ts") {
			t.Errorf("trace context %q, %q", d.Traceparent, d.Tracestate)
		}
	}
}

func TestPublisherBatches(t *testing.T) {
	s, js := startServer(t)
	nc := s.Connect()
	p := newPublisher(t, nc, ingress.PublisherConfig{Batch: true})
	const total = 5000
	var got ackLog
	publishOrdersAndFlush(t, p, &got, total)
	if n := countStored(t, js, messages.StreamOrders); n != total || len(got.acks) != total {
		t.Fatalf("%d stored, %d acknowledged, want %d", n, len(got.acks), total)
	}
	stream := openStream(t, js, messages.StreamOrders)
	batched := 0
	for n := 0; n < total; n += 97 {
		m, err := stream.GetMsg(natstest.Context(t), got.acks[fmt.Sprint(n)].Sequence)
		if err != nil || m.Subject != fmt.Sprintf("ORDER.o-%d", n) {
			t.Fatalf("message %d is not stored where its ack says: %v", n, err)
		}
		if m.Header.Get("Nats-Batch-Id") != "" {
			batched++
		}
	}
	if batched == 0 {
		t.Error("nothing was published in a batch")
	}
	if got := nc.Stats().InMsgs; got > total/2 {
		t.Errorf("%d replies for %d messages", got, total)
	}
}

func TestStreamWithoutBatches(t *testing.T) {
	s := natstest.Start(t)
	js := s.JetStream()
	if _, err := js.CreateStream(natstest.Context(t), jetstream.StreamConfig{Name: messages.StreamOrders, Subjects: []string{"ORDER.*"}}); err != nil {
		t.Fatal(err)
	}
	p := newPublisher(t, s.Connect(), ingress.PublisherConfig{Batch: true})
	var got ackLog
	publishOrdersAndFlush(t, p, &got, 500)
	if len(got.acks) != 500 || countStored(t, js, messages.StreamOrders) != 500 {
		t.Errorf("%d acknowledged, errors %v", len(got.acks), got.errs)
	}
}

func TestNoStream(t *testing.T) {
	s := natstest.Start(t)
	for _, batch := range []bool{false, true} {
		p := newPublisher(t, s.Connect(), ingress.PublisherConfig{Batch: batch})
		var got ackLog
		publishOrdersAndFlush(t, p, &got, 100)
		for n := range 100 {
			err := got.errs[fmt.Sprint(n)]
			if !errors.Is(err, ingress.ErrNoStream) || !strings.Contains(err.Error(), fmt.Sprintf("order o-%d:", n)) {
				t.Errorf("batch %v: %v", batch, err)
			}
		}
	}
}

func TestAckTimeout(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	silent := s.Connect()
	if _, err := silent.SubscribeSync("ORDER.*"); err != nil { // receives and never replies
		t.Fatal(err)
	}
	if err := silent.Flush(); err != nil {
		t.Fatal(err)
	}
	p := newPublisher(t, s.Connect(), ingress.PublisherConfig{MaxPending: 3, AckTimeout: 5 * time.Second})
	var got ackLog
	for n := range 3 {
		if err := p.Publish(natstest.Context(t), newOrder(messages.OrderID(fmt.Sprintf("o-%d", n))), got.record(fmt.Sprint(n))); err != nil {
			t.Fatal(err)
		}
	}
	soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Publish(soon, newOrder("o-3"), nil); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "o-3") {
		t.Errorf("a fourth message does not wait: %v", err)
	}
	if err := p.Flush(soon); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Flush does not wait: %v", err)
	}
	if err := p.Publish(natstest.Context(t), newOrder("o-4"), got.record("4")); err != nil { // waits until an ack times out
		t.Fatal(err)
	}
	natstest.Eventually(t, "three acks time out", func() bool { got.mu.Lock(); defer got.mu.Unlock(); return len(got.errs) >= 3 })
	p.Close()
	for n := range 3 {
		if err := got.errs[fmt.Sprint(n)]; !errors.Is(err, ingress.ErrAckTimeout) {
			t.Errorf("got %v", err)
		}
	}
	if err := got.errs["4"]; !errors.Is(err, ingress.ErrClosed) {
		t.Errorf("got %v", err)
	}
	if err := p.Publish(natstest.Context(t), newOrder("o-5"), nil); !errors.Is(err, ingress.ErrClosed) {
		t.Errorf("got %v", err)
	}
	for key, n := range got.calls {
		if n != 1 {
			t.Errorf("message %s is acked %d times", key, n)
		}
	}
}

func TestPublishRefusesInvalidMessages(t *testing.T) {
	s := natstest.Start(t)
	p := newPublisher(t, s.Connect(), ingress.PublisherConfig{})
	deep := strings.Repeat("[", 65) + strings.Repeat("]", 65)
	big := newOrder("o")
	big.Body.(*messages.OrderCreated).CustomerId = strings.Repeat("c", messages.MaxBody)
	for name, o := range map[string]ingress.Outgoing{
		"invalid order id": newOrder("o.o"),
		"no body":          {OrderID: "o"},
		"unknown body":     {OrderID: "o", Body: &messages.Plan{}},
		"mismatched type":  {OrderID: "o", Type: messages.TypeSkip, Body: proto.Message(&messages.RetryOrder{})},
		"too large":        big,
		"signal too deep":  {OrderID: "o", Body: &messages.SignalOrder{Name: "s", Data: deep}},
		"invalid UTF-8":    {OrderID: "o", Body: &messages.CancelOrder{Reason: "\xff"}},
	} {
		if err := p.Publish(natstest.Context(t), o, func(ingress.PubAck, error) { t.Error("a refused message is acked") }); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if _, err := ingress.NewPublisher(s.Connect(), ingress.PublisherConfig{MaxPending: -1}); err == nil {
		t.Error("a negative limit is accepted")
	}
}

func TestPublisherAcrossARestart(t *testing.T) {
	s, js := startServer(t)
	for restarts, batch := range []bool{false, true} {
		p := newPublisher(t, s.Connect(), ingress.PublisherConfig{Batch: batch, AckTimeout: time.Second})
		todo := map[messages.OrderID]bool{}
		for n := range 200 {
			todo[messages.OrderID(fmt.Sprintf("o-%v-%d", batch, n))] = true
		}
		for round := 0; len(todo) > 0; round++ {
			if round == 20 {
				t.Fatalf("%d orders are not published", len(todo))
			}
			var mu sync.Mutex
			for n, id := range slices.Collect(maps.Keys(todo)) {
				if n == 100 && round == 0 {
					s.Stop()
					s.Start()
				}
				if err := p.Publish(natstest.Context(t), newOrder(id), func(_ ingress.PubAck, err error) {
					if err == nil {
						mu.Lock()
						defer mu.Unlock()
						delete(todo, id)
					}
				}); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.Flush(natstest.Context(t)); err != nil {
				t.Fatal(err)
			}
		}
		waitReconnected(t, js.Conn(), uint64(restarts)+1)
	}
	// Acked messages are stored. A message whose ack was lost was published again and may be stored twice.
	info, err := openStream(t, js, messages.StreamOrders).Info(natstest.Context(t), jetstream.WithSubjectFilter("ORDER.*"))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(info.State.Subjects); n != 400 {
		t.Errorf("%d orders are stored, want 400", n)
	}
}
