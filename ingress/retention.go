package ingress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

// sweepInterval is the time between two sweeps; a shorter retention is also the interval.
const sweepInterval = time.Hour

// terminalEvents are the events that end an order, as HeaderEvent names them.
var terminalEvents = []string{"completed", "rejected", "cancelled"}

// Retention deletes the journal entries and the timer of orders that ended long ago. The journal has no age limit, because
// that would also delete orders that are parked or need attention. An order is kept while the inbox stores a message about
// it: without the entries, the message would start the order again. Any number of nodes may run it at once.
type Retention struct {
	js     jetstream.JetStream
	lookup *Lookup
	keep   time.Duration
	log    *slog.Logger
}

// NewRetention keeps ended orders for the duration keep. That must be longer than any client publishes the same order again.
// Logger defaults to slog.Default.
func NewRetention(js jetstream.JetStream, keep time.Duration, logger *slog.Logger) (*Retention, error) {
	if keep <= 0 {
		return nil, fmt.Errorf("retention is %s: want more than 0", keep)
	}
	if logger == nil {
		logger = slog.Default()
	}
	return &Retention{js: js, lookup: NewLookup(js), keep: keep, log: logger}, nil
}

// Run sweeps at intervals until ctx ends. A failed sweep is logged; the next one covers it.
func (r *Retention) Run(ctx context.Context) {
	ticker := time.NewTicker(min(sweepInterval, r.keep))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			deleted, err := r.Sweep(ctx, now)
			if err != nil && ctx.Err() == nil {
				r.log.Warn("retention sweep failed", "error", err)
			}
			if deleted > 0 {
				r.log.Info("ended orders deleted", "orders", deleted)
			}
		}
	}
}

// Sweep deletes the orders that had ended by now minus the retention, and returns their number.
func (r *Retention) Sweep(ctx context.Context, now time.Time) (deleted int, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("sweep the journal: %w", err)
		}
	}()
	stream, err := r.js.Stream(ctx, messages.StreamEvents)
	if err != nil {
		return 0, err
	}
	limit, state := now.Add(-r.keep), stream.CachedInfo().State
	if state.Msgs == 0 || !state.FirstTime.Before(limit) {
		return 0, nil
	}
	events, err := r.js.OrderedConsumer(ctx, messages.StreamEvents, jetstream.OrderedConsumerConfig{HeadersOnly: true})
	if err != nil {
		return 0, err
	}
	defer RemoveConsumer(ctx, r.js, messages.StreamEvents, events)
	entries, err := events.Messages()
	if err != nil {
		return 0, err
	}
	defer entries.Stop()
	for {
		entry, err := entries.Next(jetstream.NextMaxWait(requestTimeout))
		if errors.Is(err, nats.ErrTimeout) { // another node deleted the other entries
			return deleted, nil
		}
		if err != nil {
			return deleted, err
		}
		meta, err := entry.Metadata()
		if err != nil {
			return deleted, err
		}
		if !meta.Timestamp.Before(limit) || ctx.Err() != nil {
			return deleted, ctx.Err()
		}
		if isTerminal(entry.Headers()) {
			done, err := r.deleteOrder(ctx, stream, entry.Subject(), meta.Sequence.Stream)
			if err != nil {
				return deleted, err
			}
			if done {
				deleted++
			}
		}
		if meta.NumPending == 0 {
			return deleted, nil
		}
	}
}

// isTerminal reports whether the headers are those of an entry that ends its order.
func isTerminal(h nats.Header) bool {
	if _, ok := messages.Fence(h); !ok {
		return false
	}
	events := strings.Split(headerValue(h, messages.HeaderEvent), ",")
	return slices.ContainsFunc(terminalEvents, func(end string) bool { return slices.Contains(events, end) })
}

// deleteOrder deletes the order's entries up to sequence end, and its timer, unless the inbox stores a message about it.
func (r *Retention) deleteOrder(ctx context.Context, stream jetstream.Stream, subject string, end uint64) (bool, error) {
	id, err := messages.IDFromSubject(messages.SubjectEvent, subject)
	if err != nil {
		return false, nil //nolint:nilerr // no entry of ours: its subject names no order
	}
	if _, stored, err := r.lookup.FirstStored(ctx, id, 0); err != nil || stored {
		return false, err
	}
	err = r.deleteTimer(ctx, id, end)
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSubject(subject), jetstream.WithPurgeSequence(end+1))
	}
	if err != nil {
		return false, fmt.Errorf("delete order %s: %w", id, err)
	}
	return true, nil
}

// deleteTimer deletes the timer of a park up to sequence end. An order that a message resumed leaves its timer behind, which
// may fire years later and contains the order's data. A timer of a later park belongs to a later order of the same id.
func (r *Retention) deleteTimer(ctx context.Context, id messages.OrderID, end uint64) error {
	subject := messages.SubjectTimer + string(id)
	timer, err := r.lookup.get(ctx, messages.StreamTimers, natsclient.Get{Sequence: 1, NextBySubject: subject})
	if err != nil || timer == nil || parkOf(timer) > end {
		return err
	}
	timers, err := r.js.Stream(ctx, messages.StreamTimers)
	if err != nil {
		return err
	}
	return timers.Purge(ctx, jetstream.WithPurgeSubject(subject), jetstream.WithPurgeSequence(timer.Sequence+1))
}
