package ingress

import (
	"context"
	"sync"
)

// sharedCheck asks a question once for all callers that wait for the answer. Each gets the answer to a request that began after
// its call.
type sharedCheck struct {
	mu sync.Mutex
	// next is the round that callers join: its request has not begun; nil if there is none. last is the latest round.
	next, last *checkRound
}

type checkRound struct {
	done   chan struct{}
	answer bool
	err    error
}

// check returns the answer of ask, which must end by itself: the end of one caller's ctx does not end the request of all.
func (s *sharedCheck) check(ctx context.Context, ask func(context.Context) (bool, error)) (bool, error) {
	s.mu.Lock()
	r, previous := s.next, s.last
	first := r == nil
	if first {
		r = &checkRound{done: make(chan struct{})}
		s.next, s.last = r, r
	}
	s.mu.Unlock()
	if first {
		if previous != nil {
			<-previous.done
		}
		s.mu.Lock()
		s.next = nil
		s.mu.Unlock()
		r.answer, r.err = ask(context.WithoutCancel(ctx))
		close(r.done)
	}
	select {
	case <-r.done:
		return r.answer, r.err
	case <-ctx.Done():
		return false, ctx.Err()
	}
}
