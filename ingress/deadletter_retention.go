package ingress

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

// DeadLetterRetention deletes old dead letters. Any number of nodes may run it at once: the shortest retention counts.
type DeadLetterRetention struct {
	js     jetstream.JetStream
	lookup *Lookup
	keep   time.Duration
	log    *slog.Logger
}

// NewDeadLetterRetention keeps dead letters for the duration keep. Logger defaults to slog.Default.
func NewDeadLetterRetention(js jetstream.JetStream, keep time.Duration, logger *slog.Logger) (*DeadLetterRetention, error) {
	if keep <= 0 {
		return nil, fmt.Errorf("retention of dead letters is %s: want more than 0", keep)
	}
	if logger == nil {
		logger = slog.Default()
	}
	return &DeadLetterRetention{js: js, lookup: NewLookup(js), keep: keep, log: logger}, nil
}

// Run sweeps at intervals until ctx ends. A failed sweep is logged; the next one covers it.
func (r *DeadLetterRetention) Run(ctx context.Context, clock *Clock) {
	ticker := time.NewTicker(min(sweepInterval, r.keep))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		var deleted uint64
		err := clock.CheckSweep()
		if err == nil {
			deleted, err = r.Sweep(ctx)
		}
		if err != nil && ctx.Err() == nil {
			r.log.Warn("dead letter retention sweep failed", "error", err)
		}
		if deleted > 0 {
			r.log.Info("old dead letters deleted", "count", deleted)
		}
	}
}

// Sweep deletes the dead letters that are older than the retention by the server's clock, and returns how many.
func (r *DeadLetterRetention) Sweep(ctx context.Context) (deleted uint64, err error) {
	stream, err := r.js.Stream(ctx, messages.StreamDead)
	if err != nil {
		return 0, fmt.Errorf("sweep the dead letters: %w", err)
	}
	return r.DeleteBefore(ctx, stream.CachedInfo().TimeStamp.Add(-r.keep))
}

// DeleteBefore deletes the dead letters that were stored before limit, and returns how many.
func (r *DeadLetterRetention) DeleteBefore(ctx context.Context, limit time.Time) (deleted uint64, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("delete dead letters from before %s: %w", limit.UTC().Format(time.RFC3339), err)
		}
	}()
	stream, err := r.js.Stream(ctx, messages.StreamDead)
	if err != nil {
		return 0, err
	}
	before := stream.CachedInfo().State
	if before.Msgs == 0 || !before.FirstTime.Before(limit) {
		return 0, nil
	}
	end, err := r.firstSince(ctx, limit, before)
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSequence(end))
	}
	if err != nil {
		return 0, err
	}
	after, err := stream.Info(ctx)
	if err != nil {
		return 0, err
	}
	return before.Msgs - min(before.Msgs, after.State.Msgs), nil
}

// firstSince returns the sequence after the last dead letter that was stored before limit. The times of the stream ascend.
func (r *DeadLetterRetention) firstSince(ctx context.Context, limit time.Time, state jetstream.StreamState) (uint64, error) {
	low, high := state.FirstSeq, state.LastSeq+1
	for low < high {
		middle := low + (high-low)/2
		m, err := r.lookup.get(ctx, messages.StreamDead, natsclient.Get{Sequence: middle, NextBySubject: messages.SubjectDead + "*"})
		switch {
		case err != nil:
			return 0, err
		case m != nil && m.Time.Before(limit):
			low = m.Sequence + 1
		default:
			high = middle
		}
	}
	return low, nil
}
