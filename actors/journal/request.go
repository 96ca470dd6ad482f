package journal

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// requests sends requests that are answered by one or many messages, over one subscription.
type requests struct {
	nc      *nats.Conn
	inbox   string
	sub     *nats.Subscription
	timeout time.Duration

	mu    sync.Mutex
	last  uint64
	calls map[uint64]receiver
}

// receiver takes the replies to a request, one after the other, on the subscription's goroutine. It reports whether it
// has had the last.
type receiver interface {
	receive(*nats.Msg) bool
}

// call is a request whose replies are waited for.
type call struct {
	single  bool
	replies []*nats.Msg
	done    chan struct{}
}

func (c *call) receive(m *nats.Msg) bool {
	c.replies = append(c.replies, m)
	if c.single || m.Header.Get(headerStatus) != "" {
		close(c.done)
		return true
	}
	return false
}

// newRequests makes requests that fail when their last reply is not there after the timeout.
func newRequests(nc *nats.Conn, timeout time.Duration) (*requests, error) {
	r := &requests{nc: nc, inbox: nc.NewInbox() + ".", timeout: timeout, calls: map[uint64]receiver{}}
	var err error
	if r.sub, err = nc.Subscribe(r.inbox+"*", r.replied); err != nil {
		return nil, err
	}
	if err = r.sub.SetPendingLimits(-1, -1); err != nil {
		_ = r.sub.Unsubscribe()
		return nil, err
	}
	return r, nil
}

func (r *requests) close() { _ = r.sub.Unsubscribe() }

// one sends a request that has one reply.
func (r *requests) one(ctx context.Context, subject string, body []byte) (*nats.Msg, error) {
	replies, err := r.send(ctx, subject, body, &call{single: true})
	if err != nil {
		return nil, err
	}
	return replies[0], nil
}

// all sends a request whose last reply has a status, and returns that one too.
func (r *requests) all(ctx context.Context, subject string, body []byte) ([]*nats.Msg, error) {
	return r.send(ctx, subject, body, &call{})
}

func (r *requests) send(ctx context.Context, subject string, body []byte, c *call) ([]*nats.Msg, error) {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	c.done = make(chan struct{})
	n := r.expect(c)
	defer r.forget(n)
	if err := r.ask(n, subject, body); err != nil {
		return nil, err
	}
	if err := await(ctx, c.done); err != nil {
		return nil, err
	}
	if c.replies[0].Header.Get(headerStatus) == statusNoResponders {
		return nil, infrastructure(errStore)
	}
	return c.replies, nil
}

// bound ends the context when the last reply must be there.
func (r *requests) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, r.timeout, fmt.Errorf("no complete reply within %s", r.timeout))
}

// await waits for done, or fails with the cause of the context's end.
func await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		err := context.Cause(ctx)
		if !errors.Is(err, context.Canceled) {
			err = infrastructure(err)
		}
		return err
	}
}

// expect hands the replies to the requests of the returned number to c, until it has had the last, or is forgotten.
func (r *requests) expect(c receiver) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	r.calls[r.last] = c
	return r.last
}

// ask sends a request of that number.
func (r *requests) ask(n uint64, subject string, body []byte) error {
	if err := r.nc.PublishRequest(subject, r.inbox+strconv.FormatUint(n, tokenBase), body); err != nil {
		return infrastructure(plain(err))
	}
	return nil
}

func (r *requests) forget(n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.calls, n)
}

func (r *requests) replied(m *nats.Msg) {
	n, err := strconv.ParseUint(m.Subject[len(r.inbox):], tokenBase, 64)
	if err != nil {
		return
	}
	r.mu.Lock()
	c := r.calls[n]
	r.mu.Unlock()
	if c != nil && c.receive(m) {
		r.forget(n)
	}
}
