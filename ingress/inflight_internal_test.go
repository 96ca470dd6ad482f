package ingress

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

func TestFlightIsOrderedByLastSign(t *testing.T) {
	var f flight
	rs := make([]*receipt, 5)
	for n := range rs {
		rs[n] = &receipt{signed: time.Duration(n)}
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

func TestStamp(t *testing.T) {
	for reply, want := range map[string]stamp{
		"$JS.ACK.ORDERS.orderly.3.17.99.1700000000000000001.5":                        {3, 17, time.Unix(0, 1700000000000000001)},
		"$JS.ACK._.acchash.ORDERS.orderly.3.17.99.1700000000000000001.5":              {3, 17, time.Unix(0, 1700000000000000001)},
		"$JS.ACK.domain.acchash.ORDERS.orderly.3.17.99.1700000000000000001.5.a-token": {3, 17, time.Unix(0, 1700000000000000001)},
	} {
		if got, ok := readStamp(reply); !ok || got.deliveries != want.deliveries || got.sequence != want.sequence || !got.stored.Equal(want.stored) {
			t.Errorf("%s: %+v, %v", reply, got, ok)
		}
	}
	for _, reply := range []string{"", "$JS.ACK.", "$JS.ACK.ORDERS.orderly.3", "$JS.ACK.ORDERS.orderly.x.17.99.1.5", "_INBOX.x", "$JS.ACK......."} {
		if got, ok := readStamp(reply); ok {
			t.Errorf("%s: %+v", reply, got)
		}
	}
}

// BenchmarkFlight is one delivery more and one less with many others held.
func BenchmarkFlight(b *testing.B) {
	var f flight
	held := make([]*receipt, 4096)
	for n := range held {
		held[n] = new(receipt)
		f.add(held[n])
	}
	b.RunParallel(func(pb *testing.PB) {
		r := new(receipt)
		for pb.Next() {
			f.add(r)
			f.remove(r)
		}
	})
}

// BenchmarkRead is what is done about one order of two lines once it has arrived.
func BenchmarkRead(b *testing.B) {
	body := []byte("\n\x03o-1\x12\x03c-1\x1a\x10\n\x03p-1\x10\x02\x19{\x14\xaeG\xe1\xfa#@\x1a\x10\n\x03p-2\x10\x01\x19\xf6(\\\x8f\xc2\xf5\x17@")
	m := &nats.Msg{Subject: "ORDER.o-1", Reply: "$JS.ACK.ORDERS.orderly.1.17.99.1700000000000000001.5", Data: body,
		Header: nats.Header{"Orderly-Type": {"order.created"}, "traceparent": {"tp"}, "Nats-Msg-Id": {"o-1"}}}
	b.ReportAllocs()
	for b.Loop() {
		s, _ := readStamp(m.Reply)
		r := &receipt{reply: m.Reply}
		r.Delivery = delivery.Delivery{Stream: messages.StreamOrders, Sequence: s.sequence, Incarnation: newIncarnation(), Settler: r}
		if dead := read(&r.Delivery, m); dead.reason != "" || r.Invalid != nil {
			b.Fatal(dead, r.Invalid)
		}
	}
}
