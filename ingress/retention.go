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
)

// sweepEvery is how often Retention looks for orders to forget.
const sweepEvery = time.Hour

// endings are the events that end an order, as HeaderEvent names them.
var endings = []string{"completed", "rejected", "cancelled"}

// Retention forgets orders that ended long ago. It stands in for an age limit of the journal, which would also forget
// orders that are parked or need attention. An order about which a message is still stored in the inbox is kept: with
// its events gone the message would begin it anew. Any number of nodes may do this at once.
type Retention struct {
	js     jetstream.JetStream
	lookup *Lookup
	keep   time.Duration
	log    *slog.Logger
}

// NewRetention keeps the events of ended orders for so long, which has to be longer than any client publishes an
// order again. Logger defaults to slog.Default.
func NewRetention(js jetstream.JetStream, keep time.Duration, logger *slog.Logger) (*Retention, error) {
	if keep <= 0 {
		return nil, fmt.Errorf("retention is %s: want more than 0", keep)
	}
	if logger == nil {
		logger = slog.Default()
	}
	return &Retention{js: js, lookup: NewLookup(js), keep: keep, log: logger}, nil
}

// Run sweeps now and then until ctx ends. A sweep that fails is logged and made up for by the next.
func (r *Retention) Run(ctx context.Context) {
	ticker := time.NewTicker(min(sweepEvery, r.keep))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			forgotten, err := r.Sweep(ctx, now)
			if err != nil && ctx.Err() == nil {
				r.log.Warn("ended orders not forgotten", "error", err)
			}
			if forgotten > 0 {
				r.log.Info("ended orders forgotten", "orders", forgotten)
			}
		}
	}
}

// Sweep forgets the orders that had ended before now by more than the retention, and returns how many.
func (r *Retention) Sweep(ctx context.Context, now time.Time) (int, error) {
	stream, err := r.js.Stream(ctx, messages.StreamEvents)
	if err != nil {
		return 0, fmt.Errorf("sweep the journal: %w", err)
	}
	limit, state := now.Add(-r.keep), stream.CachedInfo().State
	if state.Msgs == 0 || !state.FirstTime.Before(limit) {
		return 0, nil
	}
	events, err := r.js.OrderedConsumer(ctx, messages.StreamEvents, jetstream.OrderedConsumerConfig{HeadersOnly: true})
	if err != nil {
		return 0, fmt.Errorf("sweep the journal: %w", err)
	}
	defer RemoveConsumer(ctx, r.js, messages.StreamEvents, events)
	entries, err := events.Messages()
	if err != nil {
		return 0, fmt.Errorf("sweep the journal: %w", err)
	}
	defer entries.Stop()
	for forgotten := 0; ; {
		entry, err := entries.Next(jetstream.NextMaxWait(requestTimeout))
		if errors.Is(err, nats.ErrTimeout) { // others swept the rest away
			return forgotten, nil
		}
		if err != nil {
			return forgotten, fmt.Errorf("sweep the journal: %w", err)
		}
		meta, err := entry.Metadata()
		if err != nil {
			return forgotten, fmt.Errorf("sweep the journal: %w", err)
		}
		if !meta.Timestamp.Before(limit) || ctx.Err() != nil {
			return forgotten, ctx.Err()
		}
		if ends(entry.Headers()) {
			gone, err := r.forget(ctx, stream, entry.Subject(), meta.Sequence.Stream)
			if err != nil {
				return forgotten, err
			}
			if gone {
				forgotten++
			}
		}
		if meta.NumPending == 0 {
			return forgotten, nil
		}
	}
}

func ends(h nats.Header) bool {
	kinds := strings.Split(first(h, messages.HeaderEvent), ",")
	return slices.ContainsFunc(endings, func(end string) bool { return slices.Contains(kinds, end) })
}

// forget purges the events of an order up to its end, and its timer, unless a message about it is stored.
func (r *Retention) forget(ctx context.Context, stream jetstream.Stream, subject string, end uint64) (bool, error) {
	id, err := messages.IDFromSubject(messages.SubjectEvent, subject)
	if err != nil {
		return false, nil //nolint:nilerr // a subject that names no order is nothing of ours
	}
	if _, stored, err := r.lookup.FirstStored(ctx, id, 0); err != nil || stored {
		return false, err
	}
	if err := r.forgetTimer(ctx, id, end); err != nil {
		return false, fmt.Errorf("forget order %s: %w", id, err)
	}
	if err := stream.Purge(ctx, jetstream.WithPurgeSubject(subject), jetstream.WithPurgeSequence(end+1)); err != nil {
		return false, fmt.Errorf("forget order %s: %w", id, err)
	}
	return true, nil
}

// forgetTimer purges the timer of a park before the order's end: an order that was woken by a message leaves it behind, maybe
// for years, and it tells of the order. One of a later park is that of another order of the same id.
func (r *Retention) forgetTimer(ctx context.Context, id messages.OrderID, end uint64) error {
	subject := messages.SubjectTimer + string(id)
	timer, err := r.lookup.get(ctx, messages.StreamTimers, messageRequest{Seq: 1, NextFor: subject})
	if err != nil || timer == nil || timer.park() > end {
		return err
	}
	timers, err := r.js.Stream(ctx, messages.StreamTimers)
	if err != nil {
		return err
	}
	return timers.Purge(ctx, jetstream.WithPurgeSubject(subject), jetstream.WithPurgeSequence(timer.Seq+1))
}
