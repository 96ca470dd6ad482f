package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
)

// lookEvery is how often orders that the feed was silent about are looked up: those that had ended before.
const (
	lookEvery = time.Second
	lookMax   = 200
	// lookFor bounds one look-up.
	lookFor = time.Second
)

// Watch follows a set of orders. Its methods may be called from any goroutine.
type Watch struct {
	js       jetstream.JetStream
	stream   jetstream.Stream
	consumer jetstream.Consumer
	consume  jetstream.ConsumeContext

	mu sync.Mutex
	// open are the orders that have not ended, with the time they were added.
	open  map[messages.OrderID]time.Time
	ended map[order.Status]int
	// empty is closed when no order is open any more.
	empty chan struct{}
}

// StartWatch begins to follow; nothing that happens from now on is missed. Stop the Watch after use.
func StartWatch(ctx context.Context, js jetstream.JetStream) (*Watch, error) {
	stream, err := js.Stream(ctx, messages.StreamEvents)
	if err != nil {
		return nil, fmt.Errorf("follow orders: stream %s: %w: start a node, which creates it", messages.StreamEvents, err)
	}
	consumer, err := js.OrderedConsumer(ctx, messages.StreamEvents, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverNewPolicy, HeadersOnly: true,
	})
	if err != nil {
		return nil, fmt.Errorf("follow orders: %w", err)
	}
	w := &Watch{
		js: js, stream: stream, consumer: consumer, open: map[messages.OrderID]time.Time{}, ended: map[order.Status]int{}, empty: make(chan struct{}),
	}
	w.consume, err = consumer.Consume(func(m jetstream.Msg) {
		w.saw(messages.OrderID(strings.TrimPrefix(m.Subject(), messages.SubjectEvent)), m.Headers().Get(messages.HeaderEvent))
	})
	if err != nil {
		ingress.RemoveConsumer(context.Background(), w.js, messages.StreamEvents, w.consumer)
		return nil, fmt.Errorf("follow orders: %w", err)
	}
	return w, nil
}

// Stop ends following and waits for it.
func (w *Watch) Stop() {
	w.consume.Stop()
	<-w.consume.Closed()
	ingress.RemoveConsumer(context.Background(), w.js, messages.StreamEvents, w.consumer)
}

// Add follows one more order. Add it before it is published.
func (w *Watch) Add(id messages.OrderID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[id] = time.Now()
}

// Forget stops following an order.
func (w *Watch) Forget(id messages.OrderID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, id)
	w.wake()
}

// saw takes note of a journal entry's kinds.
func (w *Watch) saw(id messages.OrderID, kinds string) {
	status, ok := endOf(kinds)
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, follows := w.open[id]; follows {
		delete(w.open, id)
		w.ended[status]++
		w.wake()
	}
}

// wake ends the wait of Wait if there is nothing left to wait for.
func (w *Watch) wake() {
	if len(w.open) == 0 {
		close(w.empty)
		w.empty = make(chan struct{})
	}
}

// endOf is the end that an entry of these kinds brings.
func endOf(kinds string) (order.Status, bool) {
	last := kinds[strings.LastIndexByte(kinds, ',')+1:]
	for _, s := range []order.Status{order.Completed, order.Rejected, order.Cancelled} {
		if last == s.String() {
			return s, true
		}
	}
	return order.None, false
}

// Tally counts the orders that ended, by status, and those that are open.
func (w *Watch) Tally() (ended map[string]int, open int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ended = map[string]int{}
	for s, n := range w.ended {
		ended[s.String()] = n
	}
	return ended, len(w.open)
}

// Open lists up to limit orders that have not ended.
func (w *Watch) Open(limit int) []messages.OrderID {
	return w.older(0, limit)
}

func (w *Watch) older(age time.Duration, limit int) []messages.OrderID {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := time.Now().Add(-age)
	var ids []messages.OrderID
	for id, added := range w.open {
		if len(ids) == limit {
			break
		}
		if !added.After(before) {
			ids = append(ids, id)
		}
	}
	return ids
}

// Wait returns nil when no followed order is open, or ctx's error, together with what has kept it from looking. A NATS
// that is away for a while is waited for.
func (w *Watch) Wait(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var trouble error
	for {
		w.mu.Lock()
		open, empty := len(w.open), w.empty
		w.mu.Unlock()
		if open == 0 {
			return nil
		}
		select {
		case <-empty:
		case <-tick.C:
			if err := w.look(ctx); err != nil && ctx.Err() == nil {
				trouble = err
			} else if err == nil {
				trouble = nil
			}
		case <-ctx.Done():
			if trouble != nil {
				return fmt.Errorf("%w: %w", ctx.Err(), trouble)
			}
			return ctx.Err()
		}
	}
}

// look asks for the last entry of orders that the feed said nothing about for a while.
func (w *Watch) look(ctx context.Context) error {
	for _, id := range w.older(lookEvery, lookMax) {
		m, err := w.last(ctx, id)
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
		case err != nil:
			return fmt.Errorf("look up order %s: %w", id, err)
		default:
			w.saw(id, m.Header.Get(messages.HeaderEvent))
		}
		w.mu.Lock()
		if _, open := w.open[id]; open {
			w.open[id] = time.Now()
		}
		w.mu.Unlock()
	}
	return nil
}

func (w *Watch) last(ctx context.Context, id messages.OrderID) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	return w.stream.GetLastMsgForSubject(ctx, messages.SubjectEvent+string(id))
}
