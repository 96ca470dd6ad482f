package natsclient

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages/failpoint"
)

// Headers of a message.
const (
	HeaderBatchID       = "Nats-Batch-Id"
	HeaderBatchSequence = "Nats-Batch-Sequence"
	HeaderBatchCommit   = "Nats-Batch-Commit"
)

const (
	// DefaultBatchMax is the default of nats-server's limit max_batch_size, in messages.
	DefaultBatchMax = 1000
	// batchBytes bounds the bodies of one batch, so that a commit does not delay others for long.
	batchBytes = 4 << 20
	// unbatchedMax is the largest number of messages that are published one by one, pipelined, instead of as a batch. The
	// server stages each batch in files of its own and syncs them and their directory before the batch itself: measured,
	// that takes as long as twenty to forty single messages. It also bounds the cost of a conflict: a refused batch is
	// halved down to this size, some twenty commits for 1000 messages, instead of being published one by one at once.
	unbatchedMax = 16
)

// Publication is a message to be published. The Publisher owns it from Publish until Acked.
type Publication interface {
	// Size of the body in bytes.
	Size() int
	// Publish publishes the message with that reply subject, and the mark's headers if it is of a batch. It may be called
	// more than once, as long as the message is certainly not stored.
	Publish(nc *nats.Conn, to ReplyTo, mark Mark) error
	// Acked is called exactly once; see Handler for how. The error wraps a *jetstream.APIError if the stream refused the
	// message, nats.ErrNoResponders if no stream takes it, and ErrNotSent as by Requester; after any other it may be stored.
	Acked(ack jetstream.PubAck, err error)
}

// Mark is the position of a message in an atomic batch; the zero value means none.
type Mark struct {
	// ID of the batch, Sequence of the message in it, from "1".
	ID, Sequence string
	// Commit marks the last one.
	Commit bool
}

// PublisherConfig of a Publisher. The zero value is usable.
type PublisherConfig struct {
	Config
	// Batch publishes the waiting messages as one atomic batch, which needs one sync to disk. One batch is in flight at a
	// time, and the messages that arrive during that time are the next one, so that no timer is needed.
	Batch bool
	// BatchMax is the largest number of messages in a batch; default DefaultBatchMax.
	BatchMax int
	// Committed, if not nil, is called with the size of each batch that was stored.
	Committed func(size int)
}

// Publisher publishes messages and waits for their acks. Its methods may be called from any goroutine.
type Publisher struct {
	r    *Requester
	cfg  PublisherConfig
	log  *slog.Logger
	once sync.Once

	wake chan struct{}
	stop chan struct{}
	// results takes the outcome of the batch in flight.
	results    chan result
	committing sync.WaitGroup
	// name begins the ids of this Publisher's batches; batches counts them.
	name    string
	batches uint64
	// sequences are the values of Nats-Batch-Sequence.
	sequences []string
	// limit is the largest number of messages in a batch; unbatched: the stream accepts no batches. Both change when a batch
	// is refused.
	limit     int
	unbatched bool

	mu      sync.Mutex
	waiting []Publication
	closed  bool
}

// result of a batch.
type result uint8

const (
	// done: every message of the batch was acked, or is about to be.
	done result = iota
	// divide: nothing was stored, because of the expected sequence of at least one message, or because there are too many.
	divide
	// refused: nothing was stored, for another reason.
	refused
)

// NewPublisher returns a Publisher over nc.
func NewPublisher(nc *nats.Conn, cfg PublisherConfig) (*Publisher, error) {
	if cfg.BatchMax == 0 {
		cfg.BatchMax = DefaultBatchMax
	}
	r, err := NewRequester(nc, cfg.Config)
	if err != nil {
		return nil, err
	}
	p := &Publisher{r: r, cfg: cfg, log: r.cfg.Logger}
	if !cfg.Batch {
		return p, nil
	}
	p.wake, p.stop, p.results = make(chan struct{}, 1), make(chan struct{}), make(chan result, 1)
	// It is short because it is stored with each message; 64 random bits make it unique among all nodes.
	p.name = strconv.FormatUint(rand.Uint64(), 36) + "-"
	p.limit = cfg.BatchMax
	p.sequences = make([]string, cfg.BatchMax)
	for i := range p.sequences {
		p.sequences[i] = strconv.Itoa(i + 1)
	}
	p.committing.Go(p.run)
	return p, nil
}

// Publish publishes m. It does not wait for the stream, and may be called from an Acked. After Close, Acked is called
// before Publish returns.
func (p *Publisher) Publish(m Publication) {
	if !p.cfg.Batch {
		p.publishSingle(m, nil)
		return
	}
	p.mu.Lock()
	closed := p.closed
	if !closed {
		p.waiting = append(p.waiting, m)
	}
	p.mu.Unlock()
	if closed {
		p.fail([]Publication{m}, errClosedBefore)
		return
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Close calls Acked with an error for every message that is not acked, and returns when the last Acked has returned. It must
// not be called from an Acked.
func (p *Publisher) Close() {
	p.once.Do(func() {
		if p.stop != nil {
			close(p.stop)
		}
		p.r.failAll(p.r.pending.close(), errClosedAfter)
		p.committing.Wait()
		p.r.Close()
	})
}

// single is a message that is published alone.
type single struct {
	p *Publisher
	m Publication
	// wait, if not nil, is signalled when the ack arrives.
	wait *batchWait
}

var singles = sync.Pool{New: func() any { return new(single) }}

func (p *Publisher) publishSingle(m Publication, wait *batchWait) {
	s := singles.Get().(*single)
	*s = single{p, m, wait}
	p.r.Send(s, func(to ReplyTo) error { return m.Publish(p.r.nc, to, Mark{}) })
}

func (s *single) Reply(m *nats.Msg) bool {
	s.acked(ParseAck(m))
	return true
}

func (s *single) Fail(err error) { s.acked(jetstream.PubAck{}, err) }

func (s *single) acked(ack jetstream.PubAck, err error) {
	m, wait := s.m, s.wait
	*s = single{}
	singles.Put(s)
	if wait != nil {
		wait.acked()
	}
	m.Acked(ack, err)
}

// run publishes batches, one after the other.
func (p *Publisher) run() {
	for {
		select {
		case <-p.stop:
			p.mu.Lock()
			p.closed = true
			waiting := p.waiting
			p.waiting = nil
			p.mu.Unlock()
			p.fail(waiting, errClosedBefore)
			return
		case <-p.wake:
		}
		for batch := p.take(); len(batch) > 0; batch = p.take() {
			p.commit(batch)
		}
	}
}

// take removes the next batch from the waiting messages; nil if there are none, or the Publisher is closed.
func (p *Publisher) take() []Publication {
	select {
	case <-p.stop:
		return nil
	default:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	n, size := 0, 0
	for n < min(len(p.waiting), p.limit) {
		if size += p.waiting[n].Size(); size > batchBytes && n > 0 {
			break
		}
		n++
	}
	batch := p.waiting[:n:n]
	p.waiting = p.waiting[n:]
	return batch
}

// commit returns when the result of every message is known.
func (p *Publisher) commit(batch []Publication) {
	if len(batch) <= unbatchedMax || p.unbatched {
		p.publishEach(batch)
		return
	}
	b := &batchRequest{p: p, batch: batch, id: p.name + strconv.FormatUint(p.batches, 36)}
	p.batches++
	p.r.Send(b, b.publish)
	switch <-p.results {
	case done:
	case refused:
		p.publishEach(batch)
	case divide:
		p.commit(batch[:len(batch)/2])
		p.commit(batch[len(batch)/2:])
	}
}

// publishEach publishes the messages one by one, and returns when all are acked.
func (p *Publisher) publishEach(batch []Publication) {
	w := &batchWait{left: len(batch), done: make(chan struct{})}
	for _, m := range batch {
		p.publishSingle(m, w)
	}
	<-w.done
}

// batchWait waits for the acks of messages that are published one by one.
type batchWait struct {
	mu   sync.Mutex
	left int
	done chan struct{}
}

func (w *batchWait) acked() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left--; w.left == 0 {
		close(w.done)
	}
}

// fail ends messages that were not sent.
func (p *Publisher) fail(batch []Publication, err error) {
	if len(batch) > 0 {
		p.r.Fail(unsent(batch), err)
	}
}

type unsent []Publication

func (u unsent) Reply(*nats.Msg) bool { return true }

func (u unsent) Fail(err error) {
	for _, m := range u {
		m.Acked(jetstream.PubAck{}, err)
	}
}

// batchRequest is a batch that waits for its ack.
type batchRequest struct {
	p     *Publisher
	batch []Publication
	id    string
}

func (b *batchRequest) publish(to ReplyTo) error {
	last := len(b.batch) - 1
	for i, m := range b.batch[:last] {
		if i == last/2 {
			failpoint.Pass(failpoint.HalfBatch)
		}
		if err := m.Publish(b.p.r.nc, ReplyTo{}, Mark{ID: b.id, Sequence: b.p.sequences[i]}); err != nil {
			// The stream drops a batch whose last message is missing.
			return fmt.Errorf("%w: message %d of a batch of %d: %w", ErrNotSent, i+1, len(b.batch), err)
		}
	}
	return b.batch[last].Publish(b.p.r.nc, to, Mark{ID: b.id, Sequence: b.p.sequences[last], Commit: true})
}

// Reply signals the committing goroutine first, so that it publishes the next batch while this one is acked.
func (b *batchRequest) Reply(m *nats.Msg) bool {
	ack, err := parseAck(m)
	n := len(b.batch)
	switch {
	case ErrorCode(err) != 0:
		b.p.results <- b.refused(err)
		return true
	case err == nil && (ack.Batch != b.id || ack.Count != n || ack.Sequence < uint64(n)):
		err = fmt.Errorf("the server acked %d of the %d messages of a batch: does it support atomic batches?", ack.Count, n)
	}
	if err != nil {
		b.Fail(err)
		return true
	}
	b.p.results <- done
	if b.p.cfg.Committed != nil {
		b.p.cfg.Committed(n)
	}
	// A batch is stored as a whole: its sequences are consecutive.
	single := ack.PubAck
	single.Sequence -= uint64(n)
	for _, m := range b.batch {
		single.Sequence++
		m.Acked(single, nil)
	}
	return true
}

func (b *batchRequest) refused(err error) result {
	p := b.p
	switch code := ErrorCode(err); {
	case WrongLastSequence(err):
		return divide
	case code == ErrorCodeAtomicBatchTooLarge:
		p.limit = max(len(b.batch)/2, 1)
		p.log.Warn("batch exceeds the server's limit, publishing smaller ones", "messages", len(b.batch), "limit", p.limit)
		return divide
	default:
		p.unbatched = p.unbatched || code == ErrorCodeAtomicDisabled
		p.log.Warn("batch refused, publishing its messages one by one", "messages", len(b.batch), "error", err)
		return refused
	}
}

func (b *batchRequest) Fail(err error) {
	b.p.results <- done
	unsent(b.batch).Fail(err)
}
