package supervision

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestWorkersNeverQueueBehindABlockedCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w workers
		block := make(chan struct{})
		var ran atomic.Int64
		for range 2 * idleWorkers {
			w.Schedule(func() { <-block })
		}
		w.Schedule(func() { ran.Add(1) })
		synctest.Wait()
		if ran.Load() != 1 {
			t.Fatal("a call waits for others that block")
		}
		close(block)
		synctest.Wait()
		w.mu.Lock()
		idle := len(w.idle)
		w.mu.Unlock()
		if idle != idleWorkers {
			t.Fatalf("%d idle goroutines are kept, want %d", idle, idleWorkers)
		}
		w.close()
	})
}

func TestWorkersCloseWaitsAndStillRunsWhatComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w workers
		var ran atomic.Int64
		release := make(chan struct{})
		w.Schedule(func() { <-release; ran.Add(1) })
		go func() {
			synctest.Wait()
			close(release)
		}()
		w.close()
		if ran.Load() != 1 {
			t.Fatal("close did not wait for a running call")
		}
		w.Schedule(func() { ran.Add(1) })
		synctest.Wait()
		if ran.Load() != 2 {
			t.Fatal("a late call was not run")
		}
	})
}
