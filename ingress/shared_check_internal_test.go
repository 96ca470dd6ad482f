package ingress

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Callers that wait share a request, which begins after their calls.
func TestSharedCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s sharedCheck
		var requests atomic.Int32
		var truth atomic.Bool
		ask := func(context.Context) (bool, error) {
			requests.Add(1)
			answer := truth.Load()
			time.Sleep(time.Second)
			return answer, nil
		}
		answers := make(chan bool, 101)
		call := func() {
			answer, err := s.check(t.Context(), ask)
			if err != nil {
				t.Error(err)
			}
			answers <- answer
		}
		go call()
		synctest.Wait() // its request is in progress, and has seen false
		truth.Store(true)
		for range 100 {
			go call()
		}
		synctest.Wait()
		if <-answers {
			t.Error("the first answer is not the one of its request")
		}
		for range 100 {
			if !<-answers {
				t.Fatal("an answer to a request that began before the call")
			}
		}
		if n := requests.Load(); n != 2 {
			t.Errorf("%d requests, want 2", n)
		}

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		failed := errors.New("away")
		if _, err := s.check(ctx, func(ctx context.Context) (bool, error) { return false, errors.Join(failed, ctx.Err()) }); err == nil || errors.Is(err, failed) && errors.Is(err, context.Canceled) {
			t.Errorf("a caller that ended: %v", err)
		}
	})
}
