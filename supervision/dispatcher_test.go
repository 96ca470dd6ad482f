package supervision

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func wantRun(t *testing.T, ran <-chan struct{}) {
	t.Helper()
	select {
	case <-ran:
	case <-time.After(time.Second):
		t.Error("a function waits for one that is stuck")
	}
}

func TestDispatcherAddsWorkersWhileTheyAreStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDispatcher()
		block := make(chan struct{})
		ran := make(chan struct{})
		blocked := 3 * runtime.GOMAXPROCS(0)
		for range blocked {
			d.Schedule(func() { <-block })
		}
		d.Schedule(func() { close(ran) })
		wantRun(t, ran)
		close(block)
		synctest.Wait()
		d.mu.Lock()
		workers := d.workers
		d.mu.Unlock()
		if workers > d.limit {
			t.Errorf("%d workers are left, want at most %d", workers, d.limit)
		}
		d.close()
	})
}

func TestDispatcherWakesAnIdleWorkerForAStuckOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDispatcher()
		release := make(chan struct{})
		for range 2 * wakeThreshold * d.limit { // All workers are started, and become idle.
			d.Schedule(func() { <-release })
		}
		synctest.Wait()
		close(release)
		synctest.Wait()
		block, ran := make(chan struct{}), make(chan struct{})
		d.Schedule(func() { <-block })
		synctest.Wait()
		d.Schedule(func() { close(ran) })
		wantRun(t, ran)
		close(block)
		d.close()
	})
}

func TestDispatcherRunsEachFunctionOnce(t *testing.T) {
	d := newDispatcher()
	var ran atomic.Int64
	var callers, calls sync.WaitGroup
	const each = 20_000
	for range 8 {
		callers.Go(func() {
			for range each {
				calls.Add(1)
				d.Schedule(func() {
					ran.Add(1)
					calls.Done()
				})
			}
		})
	}
	callers.Wait()
	calls.Wait()
	d.close()
	if ran.Load() != 8*each {
		t.Errorf("%d calls ran, want %d", ran.Load(), 8*each)
	}
}

func TestDispatcherCloseWaitsAndLaterFunctionsStillRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDispatcher()
		var ran atomic.Int64
		release := make(chan struct{})
		d.Schedule(func() { <-release; ran.Add(1) })
		d.Schedule(func() { ran.Add(1) })
		go func() {
			synctest.Wait()
			close(release)
		}()
		d.close()
		if ran.Load() != 2 {
			t.Fatal("close did not wait for the calls")
		}
		d.Schedule(func() { ran.Add(1) })
		synctest.Wait()
		if ran.Load() != 3 {
			t.Fatal("a late call was not run")
		}
	})
}
