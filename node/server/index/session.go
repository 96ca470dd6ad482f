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
	// checkEvery is how often the stream is asked whether it is still the one that was read.
	checkEvery = 2 * time.Second
	// complainEvery bounds how often the same trouble is logged.
	complainEvery = time.Minute
	// sweepEvery is how often rows of forgotten orders are looked for; sweepMax bounds what one look removes.
	sweepEvery = time.Minute
	sweepMax   = 1000
	// leaderPause is how long a new leader of the stream has to catch up with what it had confirmed.
	leaderPause = 2 * time.Second
)

// errAnew: what was read is not what the journal has.
var errAnew = errors.New("the index does not belong to this journal")

// session is the time in which this process keeps the index.
type session struct {
	store *store
	feed  *feed
	// state is what answers say of the feed.
	state atomic.Pointer[state]
	// failed takes what makes the database useless to a reader.
	failed chan error

	// asking is held by questions, which ended cuts short.
	asking sync.RWMutex
	ended  context.Context
	end    context.CancelFunc
}

// state of the feed after a tick.
type state struct {
	asOf    time.Time
	whole   bool
	last    uint64
	pending uint64
}

// keep keeps the index until ctx ends or it cannot go on. The error wraps errHeld when another process keeps it.
func (x *Index) keep(ctx context.Context) error {
	lock, err := acquire(x.cfg.Dir)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }() // it holds nothing but the lock
	stream, err := x.js.Stream(ctx, messages.StreamEvents)
	if err != nil {
		return fmt.Errorf("keep the index: stream %s: %w", messages.StreamEvents, err)
	}
	r, err := newReader(x.js)
	if err != nil {
		return err
	}
	defer r.close()
	s, p, err := x.openFor(ctx, stream, r)
	if err != nil {
		return err
	}
	err = x.serve(ctx, stream, s, newFeed(s, r, p, x.cfg.Hold, x.log))
	if broken := errors.Is(err, errBroken); broken || errors.Is(err, errAnew) {
		err = errors.Join(err, remove(x.cfg.Dir, broken))
	}
	return err
}

// serve feeds the database and answers questions until ctx ends or it cannot go on; then it closes the database.
func (x *Index) serve(ctx context.Context, stream jetstream.Stream, s *store, f *feed) error {
	se := &session{store: s, feed: f, failed: make(chan error, 1)}
	se.ended, se.end = context.WithCancel(context.Background())
	se.publish()
	x.session.Store(se)
	defer func() {
		x.session.Store(nil)
		se.close()
	}()
	stop, err := x.answer()
	if err != nil {
		return err
	}
	defer func() {
		// From here on every question is answered with ErrAway, also those under way.
		se.end()
		stop()
	}()
	return x.loop(ctx, se, stream)
}

// openFor opens the database if it belongs to the stream, and otherwise an empty one.
func (x *Index) openFor(ctx context.Context, stream jetstream.Stream, r *reader) (*store, progress, error) {
	s, p, err := openStore(x.cfg.Dir)
	broken := errors.Is(err, errBroken)
	switch {
	case err == nil && x.cfg.Rebuild && !x.rebuilt:
		err = errors.New("asked for")
	case err == nil && p.stream != 0:
		err = x.belongs(ctx, stream, r, p)
		if err != nil && !errors.Is(err, errAnew) {
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
		x.log.Warn("index is built anew", "cause", err)
		if err := remove(x.cfg.Dir, broken); err != nil {
			return nil, p, err
		}
		if s, p, err = openStore(x.cfg.Dir); err != nil {
			return nil, p, err
		}
	}
	if p.stream == 0 {
		created := stream.CachedInfo().Created.UnixNano()
		p = progress{stream: created, at: created}
	}
	return s, p, nil
}

// belongs returns an error that wraps errAnew when what was read is not what the stream has.
func (x *Index) belongs(ctx context.Context, stream jetstream.Stream, r *reader, p progress) error {
	if err := same(ctx, stream, p); err != nil {
		return err
	}
	switch {
	case time.Since(time.Unix(0, p.at)) >= x.cfg.Retention:
		return fmt.Errorf("%w: it was not fed for longer than the journal keeps ended orders", errAnew)
	case p.last == 0:
		return nil
	}
	found, err := r.page(ctx, p.last, 1)
	if err != nil {
		return err
	}
	if len(found.Msgs) > 0 && found.Msgs[0].Sequence == p.last && checksum(found.Msgs[0].Data) != p.checksum {
		return fmt.Errorf("%w: the stream has another entry at sequence %d", errAnew, p.last)
	}
	return nil
}

// loop feeds the database.
func (x *Index) loop(ctx context.Context, se *session, stream jetstream.Stream) error {
	tick := time.NewTicker(x.cfg.Interval)
	defer tick.Stop()
	var complained, checked, swept time.Time
	checked, swept = time.Now(), time.Now()
	for {
		began, taken, passed := time.Now(), se.feed.taken, se.feed.passed
		more, err := se.feed.tick(ctx)
		se.publish()
		now := time.Now()
		x.measure.ticked(now.Sub(began), se.feed.taken-taken, se.feed.passed-passed)
		if err == nil && now.Sub(swept) >= min(sweepEvery, x.cfg.Retention) {
			var left bool
			if left, err = x.sweep(se, now); !left {
				swept = now
			}
		}
		if err == nil && now.Sub(checked) >= checkEvery {
			checked = now
			err = same(ctx, stream, se.feed.progress)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errBroken), errors.Is(err, errAnew):
			return err
		case err != nil && now.Sub(complained) >= complainEvery:
			complained = now
			x.log.Warn("index falls behind", telemetry.KeyError, err)
		}
		wait := tick.C
		if more {
			wait = noWait
		}
		select {
		case <-wait:
		case err := <-se.failed:
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

// same returns an error that wraps errAnew when the stream was created anew, or is shorter than what was read. A server
// that just became the stream's leader may be behind the one that was read from, therefore it is asked twice.
func same(ctx context.Context, stream jetstream.Stream, p progress) error {
	for again := false; ; again = true {
		info, err := stream.Info(ctx)
		switch {
		case err != nil:
			return fmt.Errorf("check the stream: %w", err)
		case info.Created.UnixNano() != p.stream:
			return fmt.Errorf("%w: the stream was created anew", errAnew)
		case info.State.LastSeq >= p.last:
			return nil
		case again:
			return fmt.Errorf("%w: the stream ends at sequence %d, and %d was read", errAnew, info.State.LastSeq, p.last)
		}
		select {
		case <-time.After(leaderPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// sweep removes rows of orders that the journal forgets about now; left: there are others.
func (x *Index) sweep(se *session, now time.Time) (left bool, err error) {
	n, err := se.store.sweep(now.Add(-x.cfg.Retention).UnixNano(), sweepMax)
	return n == sweepMax, err
}

// publish lets answers know how far the feed is.
func (se *session) publish() {
	f := se.feed
	se.state.Store(&state{asOf: f.complete, whole: f.progress.whole, last: f.progress.last, pending: f.pending})
}

// close waits for the questions that are under way, which it cuts short, and closes the database.
func (se *session) close() {
	se.end()
	se.asking.Lock()
	defer se.asking.Unlock()
	se.store.close()
}
