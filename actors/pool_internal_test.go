package actors

import (
	"context"
	"testing"
	"testing/synctest"
)

// TestPool: maxConcurrent pieces at once, the others in their order, and all are done.
func TestPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool()
		gate := make(chan struct{})
		begun := make(chan int, 3*maxConcurrent)
		for i := range 3 * maxConcurrent {
			p.run(func(context.Context) {
				begun <- i
				<-gate
			})
		}
		synctest.Wait()
		if n := len(begun); n != maxConcurrent {
			t.Fatalf("%d pieces are in progress, want %d", n, maxConcurrent)
		}
		for range maxConcurrent {
			<-begun
		}
		for want := maxConcurrent; want < 3*maxConcurrent; want++ {
			gate <- struct{}{}
			if got := <-begun; got != want {
				t.Fatalf("piece %d is next, want %d", got, want)
			}
		}
		close(gate)
		synctest.Wait()
		if p.workers != 0 || p.waiting != nil {
			t.Errorf("%d goroutines and %d pieces are left", p.workers, len(p.waiting))
		}
		p.run(func(context.Context) { begun <- -1 })
		if <-begun != -1 {
			t.Error("nothing is done any more after all was done")
		}
		p.close()
	})
}

// TestPoolClose cancels what is in progress, waits for it, and discards the others.
func TestPoolClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool()
		ended := 0
		for range maxConcurrent {
			p.run(func(ctx context.Context) {
				<-ctx.Done()
				p.mu.Lock()
				defer p.mu.Unlock()
				ended++
			})
		}
		p.run(func(context.Context) { t.Error("a waiting task ran after close") })
		p.close()
		if ended != maxConcurrent {
			t.Errorf("close returned when %d of %d had ended", ended, maxConcurrent)
		}
		p.run(func(context.Context) { t.Error("work is taken after close") })
		synctest.Wait()
	})
}
