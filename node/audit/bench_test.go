package audit_test

import (
	"fmt"
	"testing"
)

func BenchmarkRead(b *testing.B) {
	w := newTestServer(b)
	const orders = 500
	for n := range orders {
		id := fmt.Sprintf("o-%d", n)
		w.complete(id, w.accept(id))
	}
	for b.Loop() {
		if r := w.read(); !r.Balanced() || r.Orders.Completed != orders {
			b.Fatalf("%+v", r)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*orders), "µs/order")
}

// BenchmarkReadParked audits orders that all wait for their timers.
func BenchmarkReadParked(b *testing.B) {
	w := newTestServer(b)
	const orders = 2000
	for n := range orders {
		id := fmt.Sprintf("o-%d", n)
		seq := w.accept(id)
		w.append(id, parked())
		w.schedule(id)
		w.ack(seq)
	}
	for b.Loop() {
		if r := w.read(); !r.Balanced() || r.Timers.Scheduled != orders {
			b.Fatalf("%+v", r)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*orders), "µs/order")
}
