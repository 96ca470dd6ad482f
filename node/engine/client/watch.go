package client

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
)

const (
	// lookupInterval is how often Wait reads the last entries of orders without news: they may have ended before they were
	// added. One round reads at most maxLookups orders and spends at most lookupTimeout on each.
	lookupInterval = time.Second
	maxLookups     = 200
	lookupTimeout  = time.Second
)

// Watch counts how a set of orders end. It is safe for concurrent use.
type Watch struct {
	js       jetstream.JetStream
	journal  *journal.Journal
	consumer jetstream.Consumer
	consume  jetstream.ConsumeContext

	mu sync.Mutex
	// open are the orders that have not ended, with the time they were added or last looked up.
	open  map[messages.OrderID]time.Time
	ended map[order.Status]int
	// empty is closed when no order is open any more.
	empty chan struct{}
}

// StartWatch begins to watch; it misses nothing that happens after it returns. Stop the Watch after use.
func StartWatch(ctx context.Context, js jetstream.JetStream) (*Watch, error) {
	if _, err := js.Stream(ctx, messages.StreamEvents); err != nil {
		return nil, fmt.Errorf("watch orders: stream %s: %w: start a node, which creates it", messages.StreamEvents, err)
	}
	consumer, err := js.OrderedConsumer(ctx, messages.StreamEvents, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverNewPolicy, HeadersOnly: true,
	})
	if err != nil {
		return nil, fmt.Errorf("watch orders: %w", err)
	}
	w := &Watch{
		js: js, consumer: consumer, open: map[messages.OrderID]time.Time{}, ended: map[order.Status]int{}, empty: make(chan struct{}),
	}
	if w.journal, err = journal.New(js, journal.Config{}); err != nil {
		ingress.RemoveConsumer(context.Background(), w.js, messages.StreamEvents, w.consumer)
		return nil, fmt.Errorf("watch orders: %w", err)
	}
	w.consume, err = consumer.Consume(func(m jetstream.Msg) {
		if _, ok := messages.Fence(m.Headers()); ok { // else no node stored it
			w.record(messages.OrderID(strings.TrimPrefix(m.Subject(), messages.SubjectEvent)), m.Headers().Get(messages.HeaderEvent))
		}
	})
	if err != nil {
		w.journal.Close()
		ingress.RemoveConsumer(context.Background(), w.js, messages.StreamEvents, w.consumer)
		return nil, fmt.Errorf("watch orders: %w", err)
	}
	return w, nil
}

// Stop ends the watch and waits for its end.
func (w *Watch) Stop() {
	w.consume.Stop()
	<-w.consume.Closed()
	w.journal.Close()
	ingress.RemoveConsumer(context.Background(), w.js, messages.StreamEvents, w.consumer)
}

// Add watches one more order. Add it before it is published.
func (w *Watch) Add(id messages.OrderID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[id] = time.Now()
}

// Forget stops watching an order.
func (w *Watch) Forget(id messages.OrderID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, id)
	w.wake()
}

// record counts the order's end if the kinds of a journal entry contain one.
func (w *Watch) record(id messages.OrderID, kinds string) {
	status, ok := endOf(kinds)
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, watched := w.open[id]; watched {
		delete(w.open, id)
		w.ended[status]++
		w.wake()
	}
}

// wake ends Wait if no order is open. The caller holds mu.
func (w *Watch) wake() {
	if len(w.open) == 0 {
		close(w.empty)
		w.empty = make(chan struct{})
	}
}

// endOf returns the final status after an entry of these kinds.
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

// Open returns up to limit orders that have not ended.
func (w *Watch) Open(limit int) []messages.OrderID {
	return w.openFor(0, limit)
}

// openFor returns up to limit open orders that were added or looked up at least age ago.
func (w *Watch) openFor(age time.Duration, limit int) []messages.OrderID {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := time.Now().Add(-age)
	var ids []messages.OrderID
	for id, at := range w.open {
		if len(ids) == limit {
			break
		}
		if !at.After(before) {
			ids = append(ids, id)
		}
	}
	return ids
}

// Wait returns nil when no watched order is open. If ctx ends first it returns ctx's error, together with the error of the
// latest look-up if that failed. It waits while NATS is unavailable.
func (w *Watch) Wait(ctx context.Context) error {
	tick := time.NewTicker(lookupInterval)
	defer tick.Stop()
	var failed error
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
			if err := w.lookUp(ctx); err == nil || ctx.Err() == nil {
				failed = err
			}
		case <-ctx.Done():
			if failed != nil {
				return fmt.Errorf("%w: %w", ctx.Err(), failed)
			}
			return ctx.Err()
		}
	}
}

// lookUp reads the last entries of orders without recent events.
func (w *Watch) lookUp(ctx context.Context) error {
	for _, id := range w.openFor(lookupInterval, maxLookups) {
		e, found, err := w.last(ctx, id)
		switch {
		case err != nil:
			return fmt.Errorf("look up order %s: %w", id, err)
		case found:
			w.record(id, journal.Kinds(e.Entry))
		}
		w.mu.Lock()
		if _, open := w.open[id]; open {
			w.open[id] = time.Now()
		}
		w.mu.Unlock()
	}
	return nil
}

func (w *Watch) last(ctx context.Context, id messages.OrderID) (journal.Entry, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	return w.journal.Last(ctx, id)
}
