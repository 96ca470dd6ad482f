package ingress_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// fill stores so many orders in the inbox.
func fill(b *testing.B, br *broker, count int) {
	b.Helper()
	p := newPublisher(b, br.connect(), ingress.PublisherConfig{})
	for n := range count {
		if err := p.Publish(b.Context(), order(messages.OrderID(fmt.Sprintf("o-%d", n))), nil); err != nil {
			b.Fatal(err)
		}
	}
	if err := p.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkDeliveryToSettle is everything between two messages, server included: compare it with BenchmarkRawConsume.
func BenchmarkDeliveryToSettle(b *testing.B) {
	br, js := ready(b)
	fill(b, br, b.N)
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan struct{})
	d := &desk{t: b, ran: make(chan error, 1)}
	b.ReportAllocs()
	b.ResetTimer()
	d.open(js, ingress.Config{}, func(m *delivery.Delivery) {
		m.Settle(delivery.Done())
		if left.Add(-1) == 0 {
			close(done)
		}
	})
	<-done
	b.StopTimer()
}

// BenchmarkRawConsume is the client library's consumption, with the same decoding.
func BenchmarkRawConsume(b *testing.B) {
	br, js := ready(b)
	fill(b, br, b.N)
	c, err := js.Consumer(b.Context(), messages.StreamOrders, messages.Consumer)
	if err != nil {
		b.Fatal(err)
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan struct{})
	b.ReportAllocs()
	b.ResetTimer()
	cc, err := c.Consume(func(m jetstream.Msg) {
		if _, err := m.Metadata(); err != nil {
			b.Error(err)
		}
		o, err := messages.DecodeCreated("", m.Data())
		if err != nil {
			b.Error(err)
		}
		messages.Normalize(o)
		if err := messages.Validate(o, messages.OrderID(o.OrderId)); err != nil {
			b.Error(err)
		}
		if err := m.Ack(); err != nil {
			b.Error(err)
		}
		if left.Add(-1) == 0 {
			close(done)
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	<-done
	b.StopTimer()
	cc.Stop()
	<-cc.Closed()
}

func BenchmarkPublish(b *testing.B) {
	for _, batch := range []bool{false, true} {
		b.Run(fmt.Sprintf("batch=%v", batch), func(b *testing.B) {
			br, _ := ready(b)
			b.ReportAllocs()
			b.ResetTimer()
			p := newPublisher(b, br.connect(), ingress.PublisherConfig{Batch: batch})
			for n := range b.N {
				if err := p.Publish(b.Context(), order(messages.OrderID(fmt.Sprintf("o-%d", n))), nil); err != nil {
					b.Fatal(err)
				}
			}
			if err := p.Flush(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	}
}
