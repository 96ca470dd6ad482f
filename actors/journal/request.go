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
	calls map[uint64]*call
}

type call struct {
	single  bool
	replies []*nats.Msg
	done    chan struct{}
}

// newRequests makes requests that fail when their last reply is not there after the timeout.
func newRequests(nc *nats.Conn, timeout time.Duration) (*requests, error) {
	r := &requests{nc: nc, inbox: nc.NewInbox() + ".", timeout: timeout, calls: map[uint64]*call{}}
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
	ctx, cancel := context.WithTimeoutCause(ctx, r.timeout, fmt.Errorf("no complete reply within %s", r.timeout))
	defer cancel()
	c.done = make(chan struct{})
	r.mu.Lock()
	r.last++
	n := r.last
	r.calls[n] = c
	r.mu.Unlock()
	defer r.forget(n)
	if err := r.nc.PublishRequest(subject, r.inbox+strconv.FormatUint(n, tokenBase), body); err != nil {
		return nil, infrastructure(err)
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		err := context.Cause(ctx)
		if !errors.Is(err, context.Canceled) {
			err = infrastructure(err)
		}
		return nil, err
	}
	if c.replies[0].Header.Get(headerStatus) == statusNoResponders {
		return nil, infrastructure(errStore)
	}
	return c.replies, nil
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
	defer r.mu.Unlock()
	c := r.calls[n]
	if c == nil {
		return
	}
	c.replies = append(c.replies, m)
	if c.single || m.Header.Get(headerStatus) != "" {
		delete(r.calls, n)
		close(c.done)
	}
}
