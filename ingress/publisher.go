package ingress

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
)

// Defaults and limits of PublisherConfig.
const (
	DefaultMaxPending = 8192
	DefaultAckTimeout = 5 * time.Second
	// MaxBatch is the largest atomic batch a server takes.
	MaxBatch = 1000
)

// PublisherConfig of a Publisher.
type PublisherConfig struct {
	// MaxPending bounds the messages that are not acknowledged; a caller beyond it waits. Default DefaultMaxPending.
	MaxPending int
	// AckTimeout is how long an acknowledgement may take; default DefaultAckTimeout.
	AckTimeout time.Duration
	// Batch publishes what waits in atomic batches, one in flight at a time: with a server that syncs before it
	// acknowledges, a batch shares one sync. A message that waits alone is published alone.
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

// Validate says what is wrong with the configuration.
func (c PublisherConfig) Validate() error {
	if c.MaxPending < 0 {
		return fmt.Errorf("max pending is %d: want at least 1", c.MaxPending)
	}
	if c.AckTimeout < 0 {
		return fmt.Errorf("ack timeout is %s: want more than 0", c.AckTimeout)
	}
	return nil
}

// Outgoing is a message about an order.
type Outgoing struct {
	OrderID messages.OrderID
	// Type defaults to what the body is.
	Type messages.Type
	// Body is one of OrderCreated, CancelOrder, SignalOrder, RetryOrder and SkipStep.
	Body proto.Message
	// ID is what the stream recognizes a message by that it stored within the last two minutes: it is not stored again.
	// Default for a created message the order's id, for the others none.
	ID string
	// Traceparent and Tracestate are the W3C trace context, or empty.
	Traceparent, Tracestate string
}

// Receipt says where a message is stored.
type Receipt struct {
	Sequence uint64
	// Duplicate: a message of the same id was stored within the last two minutes, and this one was not.
	Duplicate bool
}

// Publisher publishes messages about orders, and waits for the stream to acknowledge each. A created message carries
// the order's id as its Nats-Msg-Id, so that publishing it again is harmless. The others carry none
// unless they are given one: two cancels are as good as one, and two signals of the same name are two signals.
type Publisher struct {
	courier *courier
	slots   chan struct{}
	batcher *batcher

	mu      sync.Mutex
	pending int
	empty   chan struct{}
	closed  bool
}

// NewPublisher publishes through nc. Close it in the end.
func NewPublisher(nc *nats.Conn, cfg PublisherConfig) (*Publisher, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	c, err := newCourier(nc, cfg.AckTimeout)
	if err != nil {
		return nil, err
	}
	p := &Publisher{courier: c, slots: make(chan struct{}, cfg.MaxPending)}
	if cfg.Batch {
		p.batcher = newBatcher(c, cfg.MaxPending)
	}
	return p, nil
}

// Publish sends the message. It waits while too many are not acknowledged, until ctx ends. If it returns nil, done is
// called exactly once, with an error that names the order if the message was not stored (ErrNoStream), or may not have
// been (ErrNoAcknowledgement, ErrClosed). Done must not block and may be nil.
func (p *Publisher) Publish(ctx context.Context, o Outgoing, done func(Receipt, error)) error {
	m, err := o.message()
	if err != nil {
		return err
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("publish order %s: %w", o.OrderID, ctx.Err())
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		<-p.slots
		return fmt.Errorf("publish order %s: %w", o.OrderID, ErrClosed)
	}
	p.pending++
	if p.batcher != nil {
		p.batcher.queue <- letter{m, p.finish(o.OrderID, done)} // has room for every slot
		p.mu.Unlock()
		return nil
	}
	p.mu.Unlock()
	p.courier.send(m, p.finish(o.OrderID, done))
	return nil
}

// finish hands the answer to the caller and makes room for another message.
func (p *Publisher) finish(id messages.OrderID, done func(Receipt, error)) func(pubAck, error) {
	return func(ack pubAck, err error) {
		if done != nil {
			if err != nil {
				err = fmt.Errorf("publish order %s: %w", id, err)
			}
			done(Receipt{Sequence: ack.Sequence, Duplicate: ack.Duplicate}, err)
		}
		p.finished()
	}
}

func (p *Publisher) finished() {
	<-p.slots
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pending--
	if p.pending == 0 && p.empty != nil {
		close(p.empty)
		p.empty = nil
	}
}

// Flush waits until everything published so far has been answered for, or ctx ends.
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

// Close gives up on what is not acknowledged; call Flush before. The connection stays open.
func (p *Publisher) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	if p.batcher != nil {
		p.batcher.close()
	}
	p.courier.close()
}

var errBody = errors.New("want an OrderCreated, CancelOrder, SignalOrder, RetryOrder or SkipStep as the body")

// message encodes the message; the error names the order.
func (o Outgoing) message() (*nats.Msg, error) {
	if _, err := messages.ParseOrderID(string(o.OrderID)); err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	kind := o.Type
	if kind == "" {
		kind = typeOf(o.Body)
	}
	if kind == "" || kind != typeOf(o.Body) {
		return nil, fmt.Errorf("publish order %s: %s with a body of %T: %w", o.OrderID, kind, o.Body, errBody)
	}
	body, err := proto.Marshal(o.Body)
	if err != nil {
		return nil, fmt.Errorf("publish order %s: %w", o.OrderID, err)
	}
	if len(body) > messages.MaxBody {
		return nil, fmt.Errorf("publish order %s: the body has %d bytes: at most %d are allowed", o.OrderID, len(body), messages.MaxBody)
	}
	m := &nats.Msg{Subject: messages.SubjectOrder + string(o.OrderID), Data: body, Header: make(nats.Header, 5)}
	m.Header[messages.HeaderType] = []string{string(kind)}
	m.Header[messages.HeaderContentType] = []string{contentTypeProtobuf}
	switch {
	case o.ID != "":
		m.Header[nats.MsgIdHdr] = []string{o.ID}
	case kind == messages.TypeCreated:
		m.Header[nats.MsgIdHdr] = []string{string(o.OrderID)}
	}
	if o.Traceparent != "" {
		m.Header[messages.HeaderTraceparent] = []string{o.Traceparent}
	}
	if o.Tracestate != "" {
		m.Header[messages.HeaderTracestate] = []string{o.Tracestate}
	}
	return m, nil
}

const contentTypeProtobuf = "application/protobuf"

func typeOf(body proto.Message) messages.Type {
	switch body.(type) {
	case *messages.OrderCreated:
		return messages.TypeCreated
	case *messages.CancelOrder:
		return messages.TypeCancel
	case *messages.SignalOrder:
		return messages.TypeSignal
	case *messages.RetryOrder:
		return messages.TypeRetry
	case *messages.SkipStep:
		return messages.TypeSkip
	}
	return ""
}
