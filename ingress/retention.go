package ingress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/ingress/ledger"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

// maxEnded is how many orders are deleted together: their messages are one record of the ledger.
const maxEnded = 256

// sweepInterval is the time between two sweeps; a shorter retention is also the interval.
const sweepInterval = time.Hour

// Retention deletes the journal entries and the timer of orders that ended long ago. The journal has no age limit, because
// that would also delete orders that are parked or need attention. An order is kept while the inbox stores a message about
// it: without the entries, the message would start the order again. The messages that the entries name are in the ledger first.
// Any number of nodes may run it at once.
type Retention struct {
	js     jetstream.JetStream
	ledger *ledger.Ledger
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
	return &Retention{js: js, ledger: ledger.New(js, logger), lookup: NewLookup(js), keep: keep, log: logger}, nil
}

// Run sweeps at intervals until ctx ends, by that clock. A failed sweep is logged; the next one covers it.
func (r *Retention) Run(ctx context.Context, clock *Clock) {
	ticker := time.NewTicker(min(sweepInterval, r.keep))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			deleted, err := r.SweepBy(ctx, clock)
			if err != nil && ctx.Err() == nil {
				r.log.Warn("retention sweep failed", "error", err)
			}
			if deleted > 0 {
				r.log.Info("ended orders deleted", "orders", deleted)
			}
		}
	}
}

// SweepBy deletes the orders whose retention is over by that clock; none while it differs too much from the node's.
func (r *Retention) SweepBy(ctx context.Context, clock *Clock) (deleted int, err error) {
	if err := clock.CheckSweep(); err != nil {
		return 0, err
	}
	return r.Sweep(ctx, clock.Now())
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
	events, err := r.js.OrderedConsumer(ctx, messages.StreamEvents, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return 0, err
	}
	defer RemoveConsumer(ctx, r.js, messages.StreamEvents, events)
	entries, err := events.Messages()
	if err != nil {
		return 0, err
	}
	defer entries.Stop()
	histories := histories{}
	var ended []endedOrder
	for more := true; more; {
		entry, err := entries.Next(jetstream.NextMaxWait(requestTimeout))
		if errors.Is(err, nats.ErrTimeout) { // another node deleted the other entries
			break
		}
		if err != nil {
			return deleted, err
		}
		meta, err := entry.Metadata()
		if err != nil {
			return deleted, err
		}
		if more = meta.Timestamp.Before(limit) && ctx.Err() == nil; !more {
			break
		}
		if order, ends := histories.add(meta.Sequence.Stream, entry); ends {
			ended = append(ended, order)
		}
		more = meta.NumPending > 0
		if len(ended) == maxEnded {
			n, err := r.deleteOrders(ctx, stream, ended)
			if deleted += n; err != nil {
				return deleted, err
			}
			ended = ended[:0]
		}
	}
	if err := ctx.Err(); err != nil {
		return deleted, err
	}
	n, err := r.deleteOrders(ctx, stream, ended)
	return deleted + n, err
}

// deleteOrders returns how many orders it deleted.
func (r *Retention) deleteOrders(ctx context.Context, stream jetstream.Stream, ended []endedOrder) (deleted int, err error) {
	var named []uint64
	for _, order := range ended {
		named = append(named, order.named...)
	}
	if err := r.ledger.Append(ctx, messages.LedgerKind_LEDGER_KIND_HISTORY_DELETED, ledger.NewSet(named)); err != nil {
		return 0, err
	}
	for _, order := range ended {
		done, err := r.deleteOrder(ctx, stream, order.id, order.end)
		if err != nil {
			return deleted, err
		}
		if done {
			deleted++
		}
	}
	return deleted, nil
}

// deleteOrder deletes the order's entries up to sequence end, and its timer, unless the inbox stores a message about it.
func (r *Retention) deleteOrder(ctx context.Context, stream jetstream.Stream, id messages.OrderID, end uint64) (bool, error) {
	subject := messages.SubjectEvent + string(id)
	if _, stored, err := r.lookup.FirstStored(ctx, id, 0); err != nil || stored {
		return false, err
	}
	err := r.deleteTimer(ctx, id, end)
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
