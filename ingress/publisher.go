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
	// Default for a created message the order's id, which a Publisher recognizes it by and stores it all the same; for the
	// others none.
	ID string
	// Traceparent and Tracestate are the W3C trace context, or empty.
	Traceparent, Tracestate string
}

// PubAck says where a message is stored.
type PubAck struct {
	Sequence uint64
	// Duplicate: a message of the same id was stored within the last two minutes. If the id was given, this one was not
	// stored, and Sequence is that one's; if it is the order's, this one is stored too, at Sequence.
	Duplicate bool
}

// Publisher publishes messages about orders, and waits for the stream to acknowledge each. A created message carries
// the order's id as its Nats-Msg-Id. The stream drops it if it knows the id, whatever the content, and it is then stored
// without: only the journal can tell the order again, which is harmless, from another one, or from the right one after
// what was none. The other messages carry none unless they are given one: two cancels are as good as one, and two
// signals of the same name are two signals.
type Publisher struct {
	courier *courier
	slots   chan struct{}
	// batcher publishes what is published again, and if batch everything.
	batcher *batcher
	batch   bool

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
	return &Publisher{
		courier: c, slots: make(chan struct{}, cfg.MaxPending), batcher: newBatcher(c, cfg.MaxPending, cfg.Batch), batch: cfg.Batch,
	}, nil
}

// Publish sends the message. It waits while too many are not acknowledged, until ctx ends. If it returns nil, done is
// called exactly once, with an error that names the order if the message was not stored (ErrNoStream), or may not have
// been (ErrNoAcknowledgement, ErrClosed). Done must not block and may be nil.
func (p *Publisher) Publish(ctx context.Context, o Outgoing, done func(PubAck, error)) error {
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
	l := p.letter(o, m, done)
	if p.batch {
		p.batcher.queue <- l // has room for every slot
		p.mu.Unlock()
		return nil
	}
	p.mu.Unlock()
	p.courier.send(l.m, l.done)
	return nil
}

// letter is the message with what becomes of its acknowledgement: the caller's, or a second try.
func (p *Publisher) letter(o Outgoing, m *nats.Msg, done func(PubAck, error)) letter {
	finish := p.finish(o.OrderID, done)
	if o.ID != "" || m.Header[nats.MsgIdHdr] == nil {
		return letter{m, finish}
	}
	return letter{m, func(ack streamAck, err error) {
		if err != nil || !ack.Duplicate {
			finish(ack, err)
			return
		}
		delete(m.Header, nats.MsgIdHdr)
		p.again(letter{m, func(ack streamAck, err error) {
			ack.Duplicate = true
			finish(ack, err)
		}})
	}}
}

// again publishes a letter that still has its slot. It does not block.
func (p *Publisher) again(l letter) {
	p.mu.Lock()
	closed := p.closed
	if !closed {
		p.batcher.queue <- l // has room for every slot
	}
	p.mu.Unlock()
	if closed {
		l.done(streamAck{}, ErrClosed)
	}
}

// finish hands the answer to the caller and makes room for another message.
func (p *Publisher) finish(id messages.OrderID, done func(PubAck, error)) func(streamAck, error) {
	return func(ack streamAck, err error) {
		if done != nil {
			if err != nil {
				err = fmt.Errorf("publish order %s: %w", id, err)
			}
			done(PubAck{Sequence: ack.Sequence, Duplicate: ack.Duplicate}, err)
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
	p.batcher.close()
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
	if kind == messages.TypeSignal {
		if err := checkSignal(body); err != nil {
			return nil, fmt.Errorf("publish order %s: %w", o.OrderID, err)
		}
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

// CheckSignal says why no node would take a signal, which would be a dead letter. Its data may be small and flat enough in
// JSON, and too large or too deep in protobuf, in which it is published. The error wraps messages.ErrBody.
func CheckSignal(s *messages.SignalOrder) error {
	body, err := proto.Marshal(s)
	if err != nil {
		return fmt.Errorf("%w of a signal: %w", messages.ErrBody, err)
	}
	return checkSignal(body)
}

func checkSignal(body []byte) error {
	switch _, err := messages.DecodeSignal(contentTypeProtobuf, body); {
	case err == nil:
		return nil
	case len(body) > messages.MaxBody:
		return fmt.Errorf("no node takes this signal: %w", err)
	default:
		return fmt.Errorf("no node takes this signal: %w; its data may nest lists 49 levels deep, and objects 32", err)
	}
}

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
