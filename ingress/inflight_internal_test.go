package ingress

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

func TestInflightTableOrder(t *testing.T) {
	var f inflightTable
	rs := make([]*heldDelivery, 5)
	for n := range rs {
		rs[n] = &heldDelivery{extendedAt: time.Duration(n)}
		f.add(rs[n])
	}
	f.remove(rs[1])
	f.remove(rs[1])
	due := f.due(2, 10, nil)
	if len(due) != 2 || due[0] != rs[0] || due[1] != rs[2] {
		t.Fatalf("due %v", due)
	}
	if due := f.due(9, 11, nil); len(due) != 2 || due[0] != rs[3] || due[1] != rs[4] {
		t.Fatalf("due %v", due)
	}
	if due := f.due(20, 12, nil); len(due) != 4 {
		t.Fatalf("due %v: each once", due)
	}
	empty := f.whenEmpty()
	for _, r := range rs {
		select {
		case <-empty:
			t.Fatal("empty with deliveries left")
		default:
		}
		f.remove(r)
	}
	<-empty
	<-f.whenEmpty()
	if f.size() != 0 || f.head != nil || f.tail != nil {
		t.Error("something is left")
	}
}

// BenchmarkInflightTable adds and removes a delivery while many others are held.
func BenchmarkInflightTable(b *testing.B) {
	var f inflightTable
	held := make([]*heldDelivery, 4096)
	for n := range held {
		held[n] = new(heldDelivery)
		f.add(held[n])
	}
	b.RunParallel(func(pb *testing.PB) {
		r := new(heldDelivery)
		for pb.Next() {
			f.add(r)
			f.remove(r)
		}
	})
}

// BenchmarkDecode handles a created message with two items, without the server's part.
func BenchmarkDecode(b *testing.B) {
	body := []byte("\n\x03o-1\x12\x03c-1\x1a\x10\n\x03p-1\x10\x02\x19{\x14\xaeG\xe1\xfa#@\x1a\x10\n\x03p-2\x10\x01\x19\xf6(\\\x8f\xc2\xf5\x17@")
	m := &nats.Msg{Subject: "ORDER.o-1", Reply: "$JS.ACK.ORDERS.orderly.1.17.99.1700000000000000001.5", Data: body,
		Header: nats.Header{"Orderly-Type": {"order.created"}, "traceparent": {"tp"}, "Nats-Msg-Id": {"o-1"}}, Sub: &nats.Subscription{}}
	b.ReportAllocs()
	for b.Loop() {
		meta, err := m.Metadata()
		if err != nil {
			b.Fatal(err)
		}
		r := &heldDelivery{replyTo: m.Reply}
		r.Delivery = delivery.Delivery{Stream: messages.StreamOrders, Sequence: meta.Sequence.Stream, Incarnation: newIncarnation(), Settler: r}
		if rejected := decode(&r.Delivery, m); rejected.reason != "" || r.Invalid != nil {
			b.Fatal(rejected, r.Invalid)
		}
	}
}
