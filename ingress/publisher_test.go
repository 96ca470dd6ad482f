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
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
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

func order(id messages.OrderID) ingress.Outgoing {
	return ingress.Outgoing{OrderID: id, Body: &messages.OrderCreated{OrderId: string(id), CustomerId: "c",
		Items: []*messages.OrderItem{{ProductId: "p", Quantity: 2, UnitPrice: 1.5}}}}
}

// answers collects what a publisher calls back with.
type answers struct {
	mu       sync.Mutex
	receipts map[string]ingress.PubAck
	errs     map[string]error
	calls    map[string]int
}

func (a *answers) to(key string) func(ingress.PubAck, error) {
	return func(r ingress.PubAck, err error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.receipts == nil {
			a.receipts, a.errs, a.calls = map[string]ingress.PubAck{}, map[string]error{}, map[string]int{}
		}
		a.calls[key]++
		if err != nil {
			a.errs[key] = err
			return
		}
		a.receipts[key] = r
	}
}

func TestPublisherAndInbox(t *testing.T) {
	b, js := ready(t)
	desk := openDesk(t, js, ingress.Config{})
	p := newPublisher(t, b.connect(), ingress.PublisherConfig{})
	out := order("o")
	out.Traceparent, out.Tracestate = "tp", "ts"
	var got answers
	for n, o := range []ingress.Outgoing{
		out,
		{OrderID: "o", Body: &messages.CancelOrder{Reason: "r"}},
		{OrderID: "o", Body: &messages.SignalOrder{Name: "s"}},
		{OrderID: "o", Body: &messages.RetryOrder{}},
		{OrderID: "o", Body: &messages.SkipStep{}, Type: messages.TypeSkip},
	} {
		if err := p.Publish(within(t), o, got.to(fmt.Sprint(n))); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Flush(within(t)); err != nil {
		t.Fatal(err)
	}
	for n, kind := range []messages.Type{messages.TypeCreated, messages.TypeCancel, messages.TypeSignal, messages.TypeRetry, messages.TypeSkip} {
		if r := got.receipts[fmt.Sprint(n)]; r.Sequence != uint64(n+1) || r.Duplicate {
			t.Errorf("receipt %d: %+v, %v", n, r, got.errs)
		}
		d := desk.next()
		if d.Type != kind || d.OrderID != "o" || d.Invalid != nil {
			t.Errorf("got %+v", d)
		}
		if n == 0 && (d.Traceparent != "tp" || d.Tracestate != "ts") {
			t.Errorf("trace context %q, %q", d.Traceparent, d.Tracestate)
		}
	}
}

func TestPublisherBatches(t *testing.T) {
	b, js := ready(t)
	nc := b.connect()
	p := newPublisher(t, nc, ingress.PublisherConfig{Batch: true})
	const total = 5000
	var got answers
	for n := range total {
		if err := p.Publish(within(t), order(messages.OrderID(fmt.Sprintf("o-%d", n))), got.to(fmt.Sprint(n))); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Flush(within(t)); err != nil {
		t.Fatal(err)
	}
	if n := stored(t, js, messages.StreamOrders); n != total || len(got.receipts) != total {
		t.Fatalf("%d stored, %d acknowledged, want %d", n, len(got.receipts), total)
	}
	stream, err := js.Stream(within(t), messages.StreamOrders)
	if err != nil {
		t.Fatal(err)
	}
	batched := 0
	for n := 0; n < total; n += 97 {
		m, err := stream.GetMsg(within(t), got.receipts[fmt.Sprint(n)].Sequence)
		if err != nil || m.Subject != fmt.Sprintf("ORDER.o-%d", n) {
			t.Fatalf("message %d is not where its receipt says: %v", n, err)
		}
		if m.Header.Get("Nats-Batch-Id") != "" {
			batched++
		}
	}
	if batched == 0 {
		t.Error("nothing was published in a batch")
	}
	if got := nc.Stats().InMsgs; got > total/2 {
		t.Errorf("%d answers for %d messages", got, total)
	}
}

func TestBatchesOfAStreamThatTakesNone(t *testing.T) {
	b := startBroker(t)
	js := jetStream(t, b.connect())
	if _, err := js.CreateStream(within(t), jetstream.StreamConfig{Name: messages.StreamOrders, Subjects: []string{"ORDER.*"}}); err != nil {
		t.Fatal(err)
	}
	p := newPublisher(t, b.connect(), ingress.PublisherConfig{Batch: true})
	var got answers
	for n := range 500 {
		if err := p.Publish(within(t), order(messages.OrderID(fmt.Sprintf("o-%d", n))), got.to(fmt.Sprint(n))); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Flush(within(t)); err != nil {
		t.Fatal(err)
	}
	if len(got.receipts) != 500 || stored(t, js, messages.StreamOrders) != 500 {
		t.Errorf("%d acknowledged, errors %v", len(got.receipts), got.errs)
	}
}

func TestNoStream(t *testing.T) {
	b := startBroker(t)
	for _, batch := range []bool{false, true} {
		p := newPublisher(t, b.connect(), ingress.PublisherConfig{Batch: batch})
		var got answers
		for n := range 10 {
			if err := p.Publish(within(t), order(messages.OrderID(fmt.Sprintf("o-%d", n))), got.to(fmt.Sprint(n))); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Flush(within(t)); err != nil {
			t.Fatal(err)
		}
		for n := range 10 {
			err := got.errs[fmt.Sprint(n)]
			if !errors.Is(err, ingress.ErrNoStream) || !strings.Contains(err.Error(), fmt.Sprintf("order o-%d:", n)) {
				t.Errorf("batch %v: %v", batch, err)
			}
		}
	}
}

func TestNoAcknowledgement(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	deaf := b.connect()
	if _, err := deaf.SubscribeSync("ORDER.*"); err != nil { // somebody listens, nobody answers
		t.Fatal(err)
	}
	if err := deaf.Flush(); err != nil {
		t.Fatal(err)
	}
	p := newPublisher(t, b.connect(), ingress.PublisherConfig{MaxPending: 3, AckTimeout: 5 * time.Second})
	var got answers
	for n := range 3 {
		if err := p.Publish(within(t), order(messages.OrderID(fmt.Sprintf("o-%d", n))), got.to(fmt.Sprint(n))); err != nil {
			t.Fatal(err)
		}
	}
	soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Publish(soon, order("o-3"), nil); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "o-3") {
		t.Errorf("a fourth message does not wait: %v", err)
	}
	if err := p.Flush(soon); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("flush does not wait: %v", err)
	}
	if err := p.Publish(within(t), order("o-4"), got.to("4")); err != nil { // as soon as there is room
		t.Fatal(err)
	}
	eventually(t, "three are given up", func() bool { got.mu.Lock(); defer got.mu.Unlock(); return len(got.errs) >= 3 })
	p.Close()
	for n := range 3 {
		if err := got.errs[fmt.Sprint(n)]; !errors.Is(err, ingress.ErrNoAcknowledgement) {
			t.Errorf("got %v", err)
		}
	}
	if err := got.errs["4"]; !errors.Is(err, ingress.ErrClosed) {
		t.Errorf("got %v", err)
	}
	if err := p.Publish(within(t), order("o-5"), nil); !errors.Is(err, ingress.ErrClosed) {
		t.Errorf("got %v", err)
	}
	for key, n := range got.calls {
		if n != 1 {
			t.Errorf("message %s is answered for %d times", key, n)
		}
	}
}

func TestPublisherRefuses(t *testing.T) {
	b := startBroker(t)
	p := newPublisher(t, b.connect(), ingress.PublisherConfig{})
	deep := structpb.NewNullValue()
	for range 50 {
		deep = structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{deep}})
	}
	big := order("o")
	big.Body.(*messages.OrderCreated).CustomerId = strings.Repeat("c", messages.MaxBody)
	for name, o := range map[string]ingress.Outgoing{
		"an id":           order("o.o"),
		"a body":          {OrderID: "o"},
		"another message": {OrderID: "o", Body: &messages.Plan{}},
		"a type":          {OrderID: "o", Type: messages.TypeSkip, Body: proto.Message(&messages.RetryOrder{})},
		"too much":        big,
		"a signal":        {OrderID: "o", Body: &messages.SignalOrder{Name: "s", Data: deep}}, // that no node takes
		"invalid UTF-8":   {OrderID: "o", Body: &messages.CancelOrder{Reason: "\xff"}},
	} {
		if err := p.Publish(within(t), o, func(ingress.PubAck, error) { t.Error("answered for what was refused") }); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	if _, err := ingress.NewPublisher(b.connect(), ingress.PublisherConfig{MaxPending: -1}); err == nil {
		t.Error("a negative limit passes")
	}
}

func TestPublisherAcrossARestart(t *testing.T) {
	b, js := ready(t)
	for restarts, batch := range []bool{false, true} {
		p := newPublisher(t, b.connect(), ingress.PublisherConfig{Batch: batch, AckTimeout: time.Second})
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
					b.stop()
					b.start()
				}
				if err := p.Publish(within(t), order(id), func(_ ingress.PubAck, err error) {
					if err == nil {
						mu.Lock()
						defer mu.Unlock()
						delete(todo, id)
					}
				}); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.Flush(within(t)); err != nil {
				t.Fatal(err)
			}
		}
		reconnected(t, js.Conn(), uint64(restarts)+1)
	}
	// What was answered for is there; what was not, and was published again, may be there twice.
	info, err := inbox(t, js).Info(within(t), jetstream.WithSubjectFilter("ORDER.*"))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(info.State.Subjects); n != 400 {
		t.Errorf("%d orders are stored, want 400", n)
	}
}
