package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/timeline"
)

const (
	// silence is how long nothing may come before the journal is asked if there is nothing. It doubles with each such
	// answer, up to longestSilence, until an entry comes: an order may wait for days.
	silence        = time.Second
	longestSilence = 15 * time.Second
	// again is the pause before a feed that broke off is opened again, attempt how long one may take.
	again   = 250 * time.Millisecond
	attempt = 2 * time.Second
)

// Follow calls yield with the events of each journal entry after the one stored at sequence after, oldest first, those
// of the past and those to come, each once and without a gap. It returns nil once the order has ended and all is told,
// else yield's error or the context's; the error wraps ErrUnknownOrder when nothing is stored about the order, or no
// more before anything was told. A NATS that goes away meanwhile is waited for.
func (r *Reader) Follow(ctx context.Context, id messages.OrderID, after uint64, yield func([]timeline.Event) error) error {
	if _, err := r.Order(ctx, id); err != nil {
		return err
	}
	f := &follower{orders: r, id: id, after: after, yield: yield, silence: silence}
	for {
		switch err := f.read(ctx); {
		case f.done:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(again):
		}
	}
}

// follower tells one order, over as many feeds as it takes.
type follower struct {
	orders *Reader
	id     messages.OrderID
	after  uint64
	yield  func([]timeline.Event) error

	story timeline.Story
	// last is the sequence of the latest entry read; the next feed begins behind it.
	last uint64
	// silence is how long nothing may come now.
	silence time.Duration
	// done: all is told, or nothing more can be.
	done bool
}

// end gives the answer of Follow.
func (f *follower) end(err error) error {
	f.done = true
	return err
}

// read opens a feed behind the last entry and tells what comes until it breaks off or f is done. A consumer of its own
// is made each time: it can be given up at any moment, and what it has lost is read again by the next.
func (f *follower) read(ctx context.Context) error {
	connected, release := untilReconnect(ctx, f.orders.js.Conn())
	defer release()
	feed, giveUp, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer giveUp()
	return f.listen(connected, func(ctx context.Context) (jetstream.Msg, error) { return feed.Next(jetstream.NextContext(ctx)) }, f.behind)
}

// untilReconnect returns a context that ends when the connection is made again: a server that was started again has
// forgotten the consumer, and the feed would be silent for good. Call release in the end.
func untilReconnect(ctx context.Context, nc *nats.Conn) (connected context.Context, release func()) {
	connected, cancel := context.WithCancel(ctx)
	changes := nc.StatusChanged(nats.CONNECTED)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		<-changes
		cancel()
	})
	return connected, func() {
		nc.RemoveStatusListener(changes) // which closes changes
		waiting.Wait()
	}
}

// listen tells what next brings, until the feed breaks off, the context ends, f is done, or behind reports that the feed
// has left something out.
func (f *follower) listen(
	ctx context.Context, next func(context.Context) (jetstream.Msg, error), behind func(context.Context) (bool, error),
) error {
	for delivered := uint64(1); ; {
		waiting, cancel := context.WithTimeout(ctx, f.silence)
		m, err := next(waiting)
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, context.DeadlineExceeded):
			if left, err := behind(ctx); left || err != nil {
				return err
			}
			f.silence = min(2*f.silence, longestSilence)
			continue
		case err != nil:
			return err
		}
		meta, err := m.Metadata()
		if err != nil || meta.Sequence.Consumer != delivered {
			return err // one was lost on its way
		}
		if err := f.tell(meta, m.Data()); err != nil || f.done {
			return err
		}
		delivered++
		f.silence = silence
	}
}

func (f *follower) open(ctx context.Context) (feed jetstream.MessagesContext, giveUp func(), err error) {
	asking, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	consumer, err := f.orders.js.CreateConsumer(asking, messages.StreamEvents, jetstream.ConsumerConfig{
		FilterSubject: messages.SubjectEvent + string(f.id),
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: f.last + 1,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: time.Minute,
	})
	if err != nil {
		return nil, nil, err
	}
	if feed, err = consumer.Messages(jetstream.WithMessagesErrOnMissingHeartbeat(true)); err != nil {
		ingress.RemoveConsumer(ctx, f.orders.js, messages.StreamEvents, consumer)
		return nil, nil, err
	}
	return feed, func() { feed.Stop(); ingress.RemoveConsumer(ctx, f.orders.js, messages.StreamEvents, consumer) }, nil
}

// behind reports whether the journal has more than the feed gave. An order that left the inbox for the dead letters
// before anything was told of it ends the following.
func (f *follower) behind(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	e, found, err := f.orders.journal.Last(ctx, f.id)
	if err != nil || found {
		return e.Sequence > f.last, err
	}
	if f.last == 0 {
		if _, err := f.orders.Order(ctx, f.id); errors.Is(err, ErrUnknownOrder) {
			return true, f.end(err)
		}
	}
	return false, nil
}

// tell hands one entry on, unless it was told before.
func (f *follower) tell(meta *jetstream.MsgMetadata, body []byte) error {
	entry := &messages.JournalEntry{}
	if err := proto.Unmarshal(body, entry); err != nil {
		return f.end(fmt.Errorf("follow order %s: entry at sequence %d cannot be read: %w", f.id, meta.Sequence.Stream, err))
	}
	events, err := f.story.Tell(journal.Entry{Sequence: meta.Sequence.Stream, Time: meta.Timestamp, Entry: entry})
	if err != nil {
		return f.end(err)
	}
	f.last = meta.Sequence.Stream
	if f.last > f.after {
		if err := f.yield(events); err != nil {
			return f.end(err)
		}
	}
	if f.story.Ended() {
		return f.end(nil)
	}
	return nil
}
