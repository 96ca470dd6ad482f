package client

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natsclient"
	"github.com/orderly-engine/orderly/node/timeline"
)

const (
	// minIdleTimeout is the time without an entry after which the journal is checked for entries that the consumer missed.
	// It doubles with each check that finds none, up to maxIdleTimeout, until an entry arrives: an order may be parked for
	// days.
	minIdleTimeout = time.Second
	maxIdleTimeout = 15 * time.Second
	// reopenDelay is the pause before a lost consumer is replaced, requestTimeout bounds one request.
	reopenDelay    = 250 * time.Millisecond
	requestTimeout = 2 * time.Second
)

// FollowFrom is Follow from the journal sequence after: yield gets each later entry once, in order and without a gap. The
// error wraps ErrUnknownOrder if the order does not exist, or no longer exists and had no entry. It waits while NATS is unavailable.
func (c *Client) FollowFrom(ctx context.Context, id string, after uint64, yield func([]timeline.Event) error) error {
	if _, err := c.Order(ctx, id); err != nil {
		return err
	}
	f := &follower{client: c, id: messages.OrderID(id), after: after, yield: yield, chain: journal.NewChain(messages.OrderID(id)), idleTimeout: minIdleTimeout}
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
		case <-time.After(reopenDelay):
		}
	}
}

// follower follows one order, over one consumer after another.
type follower struct {
	client *Client
	id     messages.OrderID
	after  uint64
	yield  func([]timeline.Event) error

	story timeline.Story
	// chain finds the entries among the messages on the order's subject.
	chain *journal.Chain
	// last is the sequence of the latest message read; the next consumer starts after it.
	last uint64
	// idleTimeout is the time without an entry after which the journal is checked.
	idleTimeout time.Duration
	// done: following has ended, with the result that finish returned.
	done bool
}

// finish sets the result of FollowFrom.
func (f *follower) finish(err error) error {
	f.done = true
	return err
}

// read opens a consumer after the last entry and reads it until it fails or f is done. Each read has its own consumer: it
// can be abandoned at any moment, and the next one reads again what was lost.
func (f *follower) read(ctx context.Context) error {
	connected, release := untilReconnect(ctx, f.client.js.Conn())
	defer release()
	feed, remove, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer remove()
	return f.listen(connected, func(ctx context.Context) (jetstream.Msg, error) { return feed.Next(jetstream.NextContext(ctx)) }, f.behind)
}

// untilReconnect returns a context that ends when the connection is established again: a restarted server has lost the
// consumer, which would deliver nothing from then on. Call release after use.
func untilReconnect(ctx context.Context, nc *nats.Conn) (connected context.Context, release func()) {
	connected, cancel := context.WithCancel(ctx)
	changes := nc.StatusChanged(nats.CONNECTED)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		<-changes
		cancel()
	})
	return connected, func() {
		nc.RemoveStatusListener(changes) // closes changes
		waiting.Wait()
	}
}

// listen yields what next returns, until next fails, ctx ends, f is done, a message is missing, or behind reports that the
// journal has entries which the consumer did not deliver.
func (f *follower) listen(
	ctx context.Context, next func(context.Context) (jetstream.Msg, error), behind func(context.Context) (bool, error),
) error {
	for delivered := uint64(1); ; {
		waiting, cancel := context.WithTimeout(ctx, f.idleTimeout)
		m, err := next(waiting)
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, context.DeadlineExceeded):
			if missed, err := behind(ctx); missed || err != nil {
				return err
			}
			f.idleTimeout = min(2*f.idleTimeout, maxIdleTimeout)
			continue
		case err != nil:
			return err
		}
		meta, err := m.Metadata()
		if err != nil || meta.Sequence.Consumer != delivered {
			return err // without an error: a message was lost
		}
		if err := f.handle(meta, m); err != nil || f.done {
			return err
		}
		delivered++
		f.idleTimeout = minIdleTimeout
	}
}

func (f *follower) open(ctx context.Context) (feed jetstream.MessagesContext, remove func(), err error) {
	js := f.client.js
	requesting, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	consumer, err := js.CreateConsumer(requesting, messages.StreamEvents, jetstream.ConsumerConfig{
		FilterSubject: messages.SubjectEvent + string(f.id),
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: f.last + 1,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: time.Minute,
	})
	if err != nil {
		return nil, nil, err
	}
	if feed, err = consumer.Messages(jetstream.WithMessagesErrOnMissingHeartbeat(true)); err != nil {
		ingress.RemoveConsumer(ctx, js, messages.StreamEvents, consumer)
		return nil, nil, err
	}
	return feed, func() { feed.Stop(); ingress.RemoveConsumer(ctx, js, messages.StreamEvents, consumer) }, nil
}

// behind reports whether the journal has entries that the consumer did not deliver. It finishes if the order has no entry and
// left the inbox: it became a dead letter.
func (f *follower) behind(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	e, found, err := f.client.journal.Last(ctx, f.id)
	if err != nil || found {
		return e.Sequence > f.last, err
	}
	if f.last == 0 {
		if _, err := f.client.Order(ctx, string(f.id)); errors.Is(err, ErrUnknownOrder) {
			return true, f.finish(err)
		}
	}
	return false, nil
}

// handle yields one entry, if its sequence is greater than after. A message that no node stored is passed over.
func (f *follower) handle(meta *jetstream.MsgMetadata, m jetstream.Msg) error {
	f.last = meta.Sequence.Stream
	entry, err := f.chain.Take(&natsclient.StoredMsg{Sequence: f.last, Time: meta.Timestamp, Data: m.Data(), Fields: m.Headers()})
	if err != nil {
		return nil //nolint:nilerr // it is no entry
	}
	events, err := f.story.Apply(entry)
	if err != nil {
		return f.finish(err)
	}
	if f.last > f.after {
		if err := f.yield(events); err != nil {
			return f.finish(err)
		}
	}
	if f.story.Ended() {
		return f.finish(nil)
	}
	return nil
}
