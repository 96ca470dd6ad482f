package index

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/node/server/telemetry"
)

const (
	// lockRetry is how often a process without the lock tries to get it.
	lockRetry = 5 * time.Second
	// startRetry is the first pause after a failure; it doubles up to lockRetry.
	startRetry = 250 * time.Millisecond
)

// Index keeps a row per order of the journal and answers questions about them. Its methods may be called from any
// goroutine.
type Index struct {
	js      jetstream.JetStream
	cfg     Config
	log     *slog.Logger
	measure *instrumentation
	// session is set while this process keeps the index.
	session atomic.Pointer[session]
	// rebuilt: Config.Rebuild was done. It belongs to Run.
	rebuilt bool
}

// New makes an index of the journal that js leads to. Nothing is read before Run. Close it in the end.
func New(js jetstream.JetStream, cfg Config) (*Index, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	x := &Index{js: js, cfg: cfg, log: cfg.Logger}
	var err error
	if x.measure, err = newInstrumentation(cfg.Meter, x); err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	return x, nil
}

// Close ends the measurement. Call it after Run has returned.
func (x *Index) Close() { x.measure.close() }

// Run keeps the index until ctx ends. What goes wrong is logged and tried again: orders go on without an index.
func (x *Index) Run(ctx context.Context) {
	pause := startRetry
	var said string
	var at time.Time
	for {
		began := time.Now()
		err := x.keep(ctx)
		if ctx.Err() != nil {
			return
		}
		now := time.Now()
		if now.Sub(began) > time.Minute {
			pause = startRetry
		}
		held := errors.Is(err, errHeld)
		if err.Error() != said || !held && now.Sub(at) >= complainEvery {
			said, at = err.Error(), now
			if held {
				x.log.Warn("no index on this node: another process keeps the one in ORDERLY_DATA_DIR, and answers for this node", "directory", x.cfg.Dir)
			} else {
				x.log.Warn("no index on this node for now, trying again", telemetry.KeyError, err)
			}
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, lockRetry)
		case <-ctx.Done():
			return
		}
	}
}

// Behind is how long ago the moment is up to which answers are complete; false while this process keeps no index.
func (x *Index) Behind() (time.Duration, bool) {
	se := x.session.Load()
	if se == nil {
		return 0, false
	}
	return se.state.Load().behind(time.Now()), true
}

func (s *state) behind(now time.Time) time.Duration {
	if s.asOf.IsZero() {
		return 0
	}
	return max(0, now.Sub(s.asOf))
}
