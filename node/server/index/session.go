package index

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/server/telemetry"
)

const (
	// checkInterval is the time between two checks that the stream is still the one that was read.
	checkInterval = 2 * time.Second
	// logInterval is the least time between two logs of the same failure.
	logInterval = time.Minute
	// sweepInterval is the time between two removals of rows past the retention; sweepMax bounds the rows of one.
	sweepInterval = time.Minute
	sweepMax      = 1000
	// leaderDelay is how long a new leader of the stream may take to apply all that was committed.
	leaderDelay = 2 * time.Second
)

// errStale: the journal is not the one that was read, or has lost some of it.
var errStale = errors.New("the index does not belong to this journal")

// session is the state while this process has the index.
type session struct {
	store *store
	feed  *feed
	// state of the feed, for replies.
	state atomic.Pointer[state]
	// corrupt takes the error of a query that found the database corrupt.
	corrupt chan error

	// queries is read-locked by queries, which end when ctx does.
	queries sync.RWMutex
	ctx     context.Context
	cancel  context.CancelFunc
}

// state of the feed after a tick.
type state struct {
	asOf     time.Time
	caughtUp bool
	last     uint64
	pending  uint64
}

// runOnce keeps the index until ctx ends or it fails. The error wraps errLocked if another process has the index.
func (x *Index) runOnce(ctx context.Context) error {
	lock, err := lockDir(x.cfg.Dir)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }() // it holds nothing but the lock
	stream, err := x.js.Stream(ctx, messages.StreamEvents)
	if err != nil {
		return fmt.Errorf("run the index: stream %s: %w", messages.StreamEvents, err)
	}
	r, err := newReader(x.js)
	if err != nil {
		return err
	}
	defer r.close()
	s, p, err := x.openOrRebuild(ctx, stream, r)
	if err != nil {
		return err
	}
	err = x.runSession(ctx, stream, s, newFeed(s, r, p, x.cfg.Hold, x.log))
	if broken := errors.Is(err, errCorrupt); broken || errors.Is(err, errStale) {
		err = errors.Join(err, removeDatabase(x.cfg.Dir, broken))
	}
	return err
}

// runSession feeds the database and answers queries until ctx ends or it fails; then it closes the database.
func (x *Index) runSession(ctx context.Context, stream jetstream.Stream, s *store, f *feed) error {
	se := &session{store: s, feed: f, corrupt: make(chan error, 1)}
	se.ctx, se.cancel = context.WithCancel(context.Background())
	se.publish()
	x.current.Store(se)
	defer func() {
		x.current.Store(nil)
		se.close()
	}()
	stop, err := x.serve()
	if err != nil {
		return err
	}
	defer func() {
		// From here on every query ends with ErrNoIndex, running ones too.
		se.cancel()
		stop()
	}()
	return x.feedLoop(ctx, se, stream)
}

// openOrRebuild opens the database if it belongs to the stream, and otherwise an empty one.
func (x *Index) openOrRebuild(ctx context.Context, stream jetstream.Stream, r *reader) (*store, progress, error) {
	s, p, err := openStore(x.cfg.Dir)
	broken := errors.Is(err, errCorrupt)
	switch {
	case err == nil && x.cfg.Rebuild && !x.rebuilt:
		err = errors.New("requested")
	case err == nil && p.streamCreated != 0:
		err = x.checkProgress(ctx, stream, r, p)
		if err != nil && !errors.Is(err, errStale) {
			s.close()
			return nil, p, err
		}
	case err != nil && !broken && !errors.Is(err, errVersion):
		return nil, p, err
	}
	x.rebuilt = true
	if err != nil {
		if s != nil {
			s.close()
		}
		x.log.Warn("rebuilding index", "reason", err)
		if err := removeDatabase(x.cfg.Dir, broken); err != nil {
			return nil, p, err
		}
		if s, p, err = openStore(x.cfg.Dir); err != nil {
			return nil, p, err
		}
	}
	if p.streamCreated == 0 {
		created := stream.CachedInfo().Created.UnixNano()
		p = progress{streamCreated: created, asOf: created}
	}
	return s, p, nil
}

// checkProgress returns an error that wraps errStale if the database does not belong to the stream.
func (x *Index) checkProgress(ctx context.Context, stream jetstream.Stream, r *reader, p progress) error {
	if err := checkStream(ctx, stream, p); err != nil {
		return err
	}
	switch {
	case time.Since(time.Unix(0, p.asOf)) >= x.cfg.Retention:
		return fmt.Errorf("%w: it was not updated for longer than the journal keeps ended orders", errStale)
	case p.last == 0:
		return nil
	}
	found, err := r.page(ctx, p.last, 1)
	if err != nil {
		return err
	}
	if len(found.Msgs) > 0 && found.Msgs[0].Sequence == p.last && checksum(found.Msgs[0].Data) != p.checksum {
		return fmt.Errorf("%w: the stream has another entry at sequence %d", errStale, p.last)
	}
	return nil
}

// feedLoop feeds the database until ctx ends or it fails.
func (x *Index) feedLoop(ctx context.Context, se *session, stream jetstream.Stream) error {
	tick := time.NewTicker(x.cfg.Interval)
	defer tick.Stop()
	var logged, checked, swept time.Time
	checked, swept = time.Now(), time.Now()
	for {
		began, applied, skipped := time.Now(), se.feed.applied, se.feed.skipped
		more, err := se.feed.tick(ctx)
		se.publish()
		now := time.Now()
		x.instr.ticked(now.Sub(began), se.feed.applied-applied, se.feed.skipped-skipped)
		if err == nil && now.Sub(swept) >= min(sweepInterval, x.cfg.Retention) {
			var left bool
			if left, err = x.sweep(se, now); !left {
				swept = now
			}
		}
		if err == nil && now.Sub(checked) >= checkInterval {
			checked = now
			err = checkStream(ctx, stream, se.feed.progress)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errCorrupt), errors.Is(err, errStale):
			return err
		case err != nil && now.Sub(logged) >= logInterval:
			logged = now
			x.log.Warn("index lags behind", telemetry.KeyError, err)
		}
		wait := tick.C
		if more {
			wait = noWait
		}
		select {
		case <-wait:
		case err := <-se.corrupt:
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

// noWait is always ready.
var noWait = func() <-chan time.Time {
	c := make(chan time.Time)
	close(c)
	return c
}()

// checkStream returns an error that wraps errStale if the stream was recreated, or is shorter than what was read. A new
// leader of the stream may be behind the server that was read from, so a short stream is checked twice.
func checkStream(ctx context.Context, stream jetstream.Stream, p progress) error {
	for again := false; ; again = true {
		info, err := stream.Info(ctx)
		switch {
		case err != nil:
			return fmt.Errorf("check the stream: %w", err)
		case info.Created.UnixNano() != p.streamCreated:
			return fmt.Errorf("%w: the stream was recreated", errStale)
		case info.State.LastSeq >= p.last:
			return nil
		case again:
			return fmt.Errorf("%w: the stream ends at sequence %d, and %d was read", errStale, info.State.LastSeq, p.last)
		}
		select {
		case <-time.After(leaderDelay):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// sweep removes rows of ended orders past the retention; left: there are more.
func (x *Index) sweep(se *session, now time.Time) (left bool, err error) {
	n, err := se.store.sweep(now.Add(-x.cfg.Retention).UnixNano(), sweepMax)
	return n == sweepMax, err
}

// publish updates the state for replies.
func (se *session) publish() {
	f := se.feed
	se.state.Store(&state{asOf: f.asOf, caughtUp: f.progress.caughtUp, last: f.progress.last, pending: f.pending})
}

// close interrupts running queries, waits for them and closes the database.
func (se *session) close() {
	se.cancel()
	se.queries.Lock()
	defer se.queries.Unlock()
	se.store.close()
}
