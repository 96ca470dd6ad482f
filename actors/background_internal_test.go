package actors

import (
	"context"
	"testing"
	"testing/synctest"
)

// TestBackground: so many pieces at once and no more, the others in their order, and none is lost.
func TestBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackground()
		gate := make(chan struct{})
		begun := make(chan int, 3*maxWork)
		for i := range 3 * maxWork {
			b.do(func(context.Context) {
				begun <- i
				<-gate
			})
		}
		synctest.Wait()
		if n := len(begun); n != maxWork {
			t.Fatalf("%d pieces are under way, want %d", n, maxWork)
		}
		for range maxWork {
			<-begun
		}
		for want := maxWork; want < 3*maxWork; want++ {
			gate <- struct{}{}
			if got := <-begun; got != want {
				t.Fatalf("piece %d is next, want %d", got, want)
			}
		}
		close(gate)
		synctest.Wait()
		if b.workers != 0 || b.waiting != nil {
			t.Errorf("%d goroutines and %d pieces are left", b.workers, len(b.waiting))
		}
		b.do(func(context.Context) { begun <- -1 })
		if <-begun != -1 {
			t.Error("nothing is done any more after all was done")
		}
		b.close()
	})
}

// TestBackgroundClose cancels what is under way, waits for it, and drops the rest.
func TestBackgroundClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackground()
		ended := 0
		for range maxWork {
			b.do(func(ctx context.Context) {
				<-ctx.Done()
				b.mu.Lock()
				defer b.mu.Unlock()
				ended++
			})
		}
		b.do(func(context.Context) { t.Error("what waited is done after close") })
		b.close()
		if ended != maxWork {
			t.Errorf("close returned when %d of %d had ended", ended, maxWork)
		}
		b.do(func(context.Context) { t.Error("work is taken after close") })
		synctest.Wait()
	})
}
