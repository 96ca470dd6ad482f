package index_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/node/server/index"
)

// BenchmarkRebuild is the cost of an order whose five entries are read from the journal into one row.
func BenchmarkRebuild(b *testing.B) {
	s := newTestServer(b)
	const orders = 20_000
	s.fill(orders)
	b.ResetTimer()
	for b.Loop() {
		x, err := index.New(s.js, index.Config{Dir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		began := time.Now()
		wg.Go(func() { x.Run(ctx) })
		for {
			if d, ok := x.Lag(); ok && d < time.Since(began) {
				if page, err := x.List(ctx, index.Query{}); err == nil && !page.Rebuilding {
					break
				}
			}
			<-time.After(time.Millisecond)
		}
		cancel()
		wg.Wait()
		x.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/orders, "ns/order")
}
