package ingress

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

// Defaults of PublisherConfig.
const (
	DefaultMaxPending = 8192
	DefaultAckTimeout = 5 * time.Second
)

// PublisherConfig of a Publisher.
type PublisherConfig struct {
	// MaxPending bounds the messages whose ack is pending; Publish waits while there are as many. Default DefaultMaxPending.
	MaxPending int
	// AckTimeout bounds the wait for an ack; default DefaultAckTimeout.
	AckTimeout time.Duration
	// Batch publishes the waiting messages in atomic batches, one at a time: a server that syncs before it acknowledges syncs
	// once per batch.
	Batch bool
}

func (c PublisherConfig) withDefaults() PublisherConfig {
	if c.MaxPending == 0 {
		c.MaxPending = DefaultMaxPending
	}
	if c.AckTimeout == 0 {
		c.AckTimeout = DefaultAckTimeout
	}
	return c
}

// Validate returns an error that names the invalid field.
func (c PublisherConfig) Validate() error {
	if c.MaxPending < 0 {
		return fmt.Errorf("max pending is %d: want at least 1", c.MaxPending)
	}
	if c.AckTimeout < 0 {
		return fmt.Errorf("ack timeout is %s: want more than 0", c.AckTimeout)
	}
	return nil
}

// PubAck says where a message is stored.
type PubAck struct {
	Sequence uint64
	// Duplicate: a message with the same id was stored within the last two minutes. If Outgoing.ID was set, this message is not
	// stored and Sequence is that of the earlier one; otherwise this message is stored at Sequence.
	Duplicate bool
}

// Publisher publishes messages about orders and waits for their acks.
//
// A created message has the order's id as its Nats-Msg-Id. If the stream drops it as a duplicate, which does not depend on
// the content, it is published again without an id: only the journal can tell whether it is the same order (harmless),
// another one, or a valid one after an invalid one. Other messages have no id by default: a second cancel has no effect, and
// a second signal of the same name is another signal.
type Publisher struct {
	nc     *nats.Conn
	client *natsclient.Publisher
	slots  chan struct{}

	mu      sync.Mutex
	pending int
	empty   chan struct{}
	closed  bool
}

// NewPublisher publishes through nc. The caller must call Close.
func NewPublisher(nc *nats.Conn, cfg PublisherConfig) (*Publisher, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	client, err := natsclient.NewPublisher(nc, natsclient.PublisherConfig{Config: natsclient.Config{Timeout: cfg.AckTimeout}, Batch: cfg.Batch})
	if err != nil {
		return nil, err
	}
	return &Publisher{nc: nc, client: client, slots: make(chan struct{}, cfg.MaxPending)}, nil
}

// Publish publishes the message. While MaxPending acks are pending it waits, until ctx ends. If it returns nil, done is called
// exactly once: with an error that names the order if the message is not stored (ErrNoStream, ErrDisconnected), or may be
// stored (ErrAckTimeout, ErrClosed). Done must not block and may be nil.
func (p *Publisher) Publish(ctx context.Context, o Outgoing, done func(PubAck, error)) error {
	m, err := o.encode()
	if err != nil {
		return fmt.Errorf("publish order %s: %w", o.OrderID, err)
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("publish order %s: %w", o.OrderID, ctx.Err())
	}
	p.mu.Lock()
	closed := p.closed
	if !closed {
		p.pending++
	}
	p.mu.Unlock()
	if closed {
		<-p.slots
		return fmt.Errorf("publish order %s: %w", o.OrderID, ErrClosed)
	}
	p.client.Publish(&queuedMsg{p: p, order: o.OrderID, m: m, done: done, republish: o.ID == "" && m.Header[nats.MsgIdHdr] != nil})
	return nil
}

// queuedMsg is a message whose ack is pending. It implements natsclient.Publication.
type queuedMsg struct {
	p     *Publisher
	order messages.OrderID
	m     *nats.Msg
	done  func(PubAck, error)
	// republish: if the message is a duplicate, it is published again without its id.
	republish bool
	duplicate bool
}

func (q *queuedMsg) Size() int { return len(q.m.Data) }

func (q *queuedMsg) Publish(nc *nats.Conn, to natsclient.ReplyTo, mark natsclient.Mark) error {
	return publishMarked(nc, q.m, to, mark)
}

func (q *queuedMsg) Acked(ack jetstream.PubAck, err error) {
	if err == nil && ack.Duplicate && q.republish {
		q.republish, q.duplicate = false, true
		delete(q.m.Header, nats.MsgIdHdr)
		q.p.client.Publish(q)
		return
	}
	if q.done != nil {
		if err != nil {
			err = fmt.Errorf("publish order %s: %w", q.order, natsclient.Refused(q.p.nc, q.m.Subject, publishError(err)))
		}
		q.done(PubAck{Sequence: ack.Sequence, Duplicate: ack.Duplicate || q.duplicate}, err)
	}
	q.p.release()
}

// release frees the place of an acked message.
func (p *Publisher) release() {
	<-p.slots
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pending--
	if p.pending == 0 && p.empty != nil {
		close(p.empty)
		p.empty = nil
	}
}

// Flush waits until no ack is pending, or ctx ends.
func (p *Publisher) Flush(ctx context.Context) error {
	p.mu.Lock()
	if p.pending == 0 {
		p.mu.Unlock()
		return nil
	}
	if p.empty == nil {
		p.empty = make(chan struct{})
	}
	empty := p.empty
	p.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("flush the publisher: %w", ctx.Err())
	}
}

// Close ends pending acks with ErrClosed; call Flush before. The connection stays open.
func (p *Publisher) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.client.Close()
}
