package supervision

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// Calls that block are made up for, one worker after the other.
func TestWorkersGoOnBehindBlockedCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w workers
		block := make(chan struct{})
		ran := make(chan struct{})
		blocked := 3 * runtime.GOMAXPROCS(0)
		for range blocked {
			w.Schedule(func() { <-block })
		}
		w.Schedule(func() { close(ran) })
		<-ran // or the test never ends
		close(block)
		synctest.Wait()
		w.mu.Lock()
		count := w.count
		w.mu.Unlock()
		if count > w.size {
			t.Errorf("%d workers are left, want at most %d", count, w.size)
		}
		w.close()
	})
}

func TestWorkersRunEveryCallOnce(t *testing.T) {
	var w workers
	var ran atomic.Int64
	var callers, calls sync.WaitGroup
	const each = 20_000
	for range 8 {
		callers.Go(func() {
			for range each {
				calls.Add(1)
				w.Schedule(func() {
					ran.Add(1)
					calls.Done()
				})
			}
		})
	}
	callers.Wait()
	calls.Wait()
	w.close()
	if ran.Load() != 8*each {
		t.Errorf("%d calls ran, want %d", ran.Load(), 8*each)
	}
}

func TestWorkersCloseWaitsAndStillRunsWhatComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w workers
		var ran atomic.Int64
		release := make(chan struct{})
		w.Schedule(func() { <-release; ran.Add(1) })
		w.Schedule(func() { ran.Add(1) })
		go func() {
			synctest.Wait()
			close(release)
		}()
		w.close()
		if ran.Load() != 2 {
			t.Fatal("close did not wait for the calls")
		}
		w.Schedule(func() { ran.Add(1) })
		synctest.Wait()
		if ran.Load() != 3 {
			t.Fatal("a late call was not run")
		}
	})
}

func TestWorkersThatNeverRanClose(t *testing.T) {
	var w workers
	w.close()
}
