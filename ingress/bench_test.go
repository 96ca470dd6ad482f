package ingress_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// publishOrders stores count orders in the inbox.
func publishOrders(b *testing.B, s *natstest.Server, count int) {
	b.Helper()
	p := newPublisher(b, s.Connect(), ingress.PublisherConfig{})
	for n := range count {
		if err := p.Publish(b.Context(), newOrder(messages.OrderID(fmt.Sprintf("o-%d", n))), nil); err != nil {
			b.Fatal(err)
		}
	}
	if err := p.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkDeliveryToSettle measures receiving and settling a message, the server included. Compare BenchmarkRawConsume.
func BenchmarkDeliveryToSettle(b *testing.B) {
	s, js := startServer(b)
	publishOrders(b, s, b.N)
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan struct{})
	b.ReportAllocs()
	b.ResetTimer()
	startInboxFunc(b, js, ingress.Config{}, func(d *delivery.Delivery) {
		d.Settle(delivery.Done())
		if left.Add(-1) == 0 {
			close(done)
		}
	})
	<-done
	b.StopTimer()
}

// BenchmarkRawConsume is nats.go's Consume with the same decoding.
func BenchmarkRawConsume(b *testing.B) {
	s, js := startServer(b)
	publishOrders(b, s, b.N)
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
			s, _ := startServer(b)
			b.ReportAllocs()
			b.ResetTimer()
			p := newPublisher(b, s.Connect(), ingress.PublisherConfig{Batch: batch})
			for n := range b.N {
				if err := p.Publish(b.Context(), newOrder(messages.OrderID(fmt.Sprintf("o-%d", n))), nil); err != nil {
					b.Fatal(err)
				}
			}
			if err := p.Flush(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	}
}
