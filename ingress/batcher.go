package ingress

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"
)

// maxBatchBytes bounds the bodies of one batch.
const maxBatchBytes = 8 << 20

// Headers of an atomic batch.
const (
	headerBatchID     = "Nats-Batch-Id"
	headerBatchSeq    = "Nats-Batch-Sequence"
	headerBatchCommit = "Nats-Batch-Commit"
)

// codeBatchDisabled: the stream takes no atomic batches at all.
const codeBatchDisabled = 10174

// batcher takes what waits, publishes it as one atomic batch, and takes what has come meanwhile. It waits for nothing
// but the acknowledgement of the batch before.
type batcher struct {
	courier *courier
	queue   chan letter
	// held over from the last batch because it did not fit.
	over *letter
	// singly: no batches, which are not wanted, or which the stream does not take.
	singly bool
	number uint64
	name   string

	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// letter is a message that waits to be published.
type letter struct {
	m    *nats.Msg
	done func(streamAck, error)
}

// newBatcher has room for so many letters that wait; without batches it publishes them one by one.
func newBatcher(c *courier, room int, batches bool) *batcher {
	ctx, cancel := context.WithCancel(context.Background())
	b := &batcher{courier: c, queue: make(chan letter, room), singly: !batches, name: nats.NewInbox()[len(nats.InboxPrefix):], cancel: cancel}
	b.wg.Go(func() { b.run(ctx) })
	return b
}

func (b *batcher) run(ctx context.Context) {
	batch := make([]letter, 0, MaxBatch)
	for {
		batch = b.fill(ctx, batch[:0])
		switch {
		case len(batch) == 0:
			return
		case len(batch) == 1 || b.singly:
			b.single(batch)
		default:
			b.publish(ctx, batch)
		}
		clear(batch)
	}
}

// fill waits for a first letter and adds those that are there; nothing means the end.
func (b *batcher) fill(ctx context.Context, batch []letter) []letter {
	size := 0
	add := func(l letter) bool {
		if len(batch) > 0 && (size+len(l.m.Data) > maxBatchBytes || len(batch) == MaxBatch) {
			b.over = &l
			return false
		}
		size += len(l.m.Data)
		batch = append(batch, l)
		return len(batch) < MaxBatch
	}
	if b.over != nil {
		l := *b.over
		b.over = nil
		add(l)
	} else {
		select {
		case <-ctx.Done():
			return nil
		case l := <-b.queue:
			add(l)
		}
	}
	for {
		select {
		case l := <-b.queue:
			if !add(l) {
				return batch
			}
		default:
			return batch
		}
	}
}

func (b *batcher) single(batch []letter) {
	for _, l := range batch {
		b.courier.send(l.m, l.done)
	}
}

// publish sends the batch and waits for its acknowledgement. A refused batch has stored nothing: its messages are
// published one by one, so that each gets its own answer (a duplicate, for example, is refused within a batch).
func (b *batcher) publish(ctx context.Context, batch []letter) {
	ack, err := b.commit(ctx, batch)
	var refused *apiError
	switch {
	case errors.As(err, &refused):
		b.singly = refused.ErrCode == codeBatchDisabled
		for _, l := range batch {
			delete(l.m.Header, headerBatchID)
			delete(l.m.Header, headerBatchSeq)
			delete(l.m.Header, headerBatchCommit)
		}
		b.single(batch)
	case err != nil:
		for _, l := range batch {
			l.done(streamAck{}, err)
		}
	default:
		// The sequences of a batch are consecutive.
		for n, l := range batch {
			l.done(streamAck{Stream: ack.Stream, Sequence: ack.Sequence - uint64(len(batch)-1-n)}, nil)
		}
	}
}

func (b *batcher) commit(ctx context.Context, batch []letter) (streamAck, error) {
	b.number++
	id := b.name + "-" + strconv.FormatUint(b.number, 36)
	for n, l := range batch {
		l.m.Header[headerBatchID] = []string{id}
		l.m.Header[headerBatchSeq] = []string{strconv.Itoa(n + 1)}
		if n == len(batch)-1 {
			l.m.Header[headerBatchCommit] = []string{"1"}
			break
		}
		if err := b.courier.nc.PublishMsg(l.m); err != nil {
			return streamAck{}, fmt.Errorf("publish a batch: %w", notSent(err)) // the server forgets a batch that is not committed
		}
	}
	ack, err := b.courier.deliver(ctx, batch[len(batch)-1].m)
	if err == nil && (ack.Batch != id || ack.Count != len(batch)) {
		return streamAck{}, errors.New("the server does not know atomic batches: publish without them")
	}
	if errors.Is(err, context.Canceled) {
		err = ErrClosed
	}
	return ack, err
}

// close answers for everything that waits.
func (b *batcher) close() {
	b.cancel()
	b.wg.Wait()
	if b.over != nil {
		b.over.done(streamAck{}, ErrClosed)
		b.over = nil
	}
	for {
		select {
		case l := <-b.queue:
			l.done(streamAck{}, ErrClosed)
		default:
			return
		}
	}
}
