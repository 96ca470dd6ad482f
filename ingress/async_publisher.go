package ingress

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

var (
	// ErrNoStream: nothing takes the subject.
	ErrNoStream = errors.New("no stream takes the message: is a node running, which creates the streams?")
	// ErrNoAcknowledgement: whether the message is stored is unknown.
	ErrNoAcknowledgement = errors.New("no acknowledgement in time: it is unknown whether the message is stored, publish it again")
	// ErrNotSent: there is no connection, and nothing was sent.
	ErrNotSent = errors.New("NATS is away: not sent")
	// ErrClosed: the publisher was closed before the message was acknowledged.
	ErrClosed = errors.New("closed")
)

// courier publishes to streams and hands each acknowledgement to the callback of its message, which must not block.
type courier struct {
	nc      *nats.Conn
	sub     *nats.Subscription
	prefix  string
	timeout time.Duration

	mu      sync.Mutex
	waiting map[uint64]*parcel
	// The parcels in the order in which they were sent: the timeout is the same for all.
	oldest, newest *parcel
	next           uint64
	closed         bool

	stop chan struct{}
	wg   sync.WaitGroup
}

// parcel is a message on its way.
type parcel struct {
	token      uint64
	sent       time.Time
	done       func(streamAck, error)
	prev, next *parcel
}

// pubAck is a stream's answer.
type streamAck struct {
	Stream    string    `json:"stream"`
	Sequence  uint64    `json:"seq"`
	Duplicate bool      `json:"duplicate"`
	Batch     string    `json:"batch"`
	Count     int       `json:"count"`
	Error     *apiError `json:"error"`
}

func (e *apiError) Error() string { return fmt.Sprintf("%s (%d)", e.Description, e.ErrCode) }

func newCourier(nc *nats.Conn, timeout time.Duration) (*courier, error) {
	inbox := nc.NewInbox()
	c := &courier{nc: nc, prefix: inbox + ".", timeout: timeout, waiting: make(map[uint64]*parcel), stop: make(chan struct{})}
	sub, err := nc.Subscribe(inbox+".*", c.arrived)
	if err != nil {
		return nil, fmt.Errorf("listen for acknowledgements: %w", err)
	}
	// An acknowledgement that is dropped would be an order of unknown fate.
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return nil, fmt.Errorf("listen for acknowledgements: %w", err)
	}
	c.sub = sub
	c.wg.Go(c.expire)
	return c, nil
}

// send publishes m, whose reply subject it sets. Done is called exactly once, maybe before send returns.
func (c *courier) send(m *nats.Msg, done func(streamAck, error)) {
	p := &parcel{sent: time.Now(), done: done}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		done(streamAck{}, ErrClosed)
		return
	}
	c.next++
	p.token = c.next
	c.waiting[p.token] = p
	if p.prev = c.newest; p.prev == nil {
		c.oldest = p
	} else {
		p.prev.next = p
	}
	c.newest = p
	c.mu.Unlock()
	m.Reply = c.prefix + strconv.FormatUint(p.token, 36)
	if err := c.nc.PublishMsg(m); err != nil {
		if p := c.take(p.token); p != nil {
			p.done(streamAck{}, notSent(err))
		}
	}
}

// notSent puts plainly that the client library refused to send. Any other failure may come from a write that got part of the way.
func notSent(err error) error {
	if errors.Is(err, nats.ErrReconnectBufExceeded) || errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrConnectionDraining) {
		return ErrNotSent
	}
	return err
}

// deliver publishes m and waits for the acknowledgement.
func (c *courier) deliver(ctx context.Context, m *nats.Msg) (streamAck, error) {
	type answer struct {
		ack streamAck
		err error
	}
	answers := make(chan answer, 1)
	c.send(m, func(ack streamAck, err error) { answers <- answer{ack, err} })
	select {
	case a := <-answers:
		return a.ack, a.err
	case <-ctx.Done():
		return streamAck{}, ctx.Err()
	}
}

func (c *courier) arrived(m *nats.Msg) {
	token, err := strconv.ParseUint(m.Subject[len(c.prefix):], 36, 64)
	if err != nil {
		return
	}
	p := c.take(token)
	if p == nil {
		return // too late
	}
	p.done(readAck(m))
}

func readAck(m *nats.Msg) (streamAck, error) {
	if len(m.Data) == 0 {
		if m.Header.Get("Status") == "503" {
			return streamAck{}, ErrNoStream
		}
		return streamAck{}, errors.New("the server answers with nothing")
	}
	var ack streamAck
	if err := json.Unmarshal(m.Data, &ack); err != nil {
		return streamAck{}, fmt.Errorf("the answer is no acknowledgement: %w", err)
	}
	if ack.Error != nil {
		return streamAck{}, ack.Error
	}
	if ack.Stream == "" {
		return streamAck{}, errors.New("the answer is not that of a stream")
	}
	return ack, nil
}

// take removes the parcel from those waited for; nil when it is none of them.
func (c *courier) take(token uint64) *parcel {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.waiting[token]
	if p == nil {
		return nil
	}
	c.forget(p)
	return p
}

// forget unlinks the parcel; c.mu is held.
func (c *courier) forget(p *parcel) {
	delete(c.waiting, p.token)
	if p.prev == nil {
		c.oldest = p.next
	} else {
		p.prev.next = p.next
	}
	if p.next == nil {
		c.newest = p.prev
	} else {
		p.next.prev = p.prev
	}
	p.prev, p.next = nil, nil
}

// expire gives up on messages that are not acknowledged in time.
func (c *courier) expire() {
	ticker := time.NewTicker(max(time.Millisecond, c.timeout/8))
	defer ticker.Stop()
	for {
		select {
		case <-c.stop:
			return
		case now := <-ticker.C:
			for p := c.overdue(now); p != nil; p = c.overdue(now) {
				p.done(streamAck{}, ErrNoAcknowledgement)
			}
		}
	}
}

func (c *courier) overdue(now time.Time) *parcel {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.oldest
	if p == nil || now.Sub(p.sent) < c.timeout {
		return nil
	}
	c.forget(p)
	return p
}

// close gives up on everything that is still waited for.
func (c *courier) close() {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	c.mu.Unlock()
	close(c.stop)
	c.wg.Wait()
	_ = c.sub.Unsubscribe() // fails only on a closed connection
	for {
		c.mu.Lock()
		p := c.oldest
		if p != nil {
			c.forget(p)
		}
		c.mu.Unlock()
		if p == nil {
			return
		}
		p.done(streamAck{}, ErrClosed)
	}
}
