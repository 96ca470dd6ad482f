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
	// lockRetry is the longest pause between two attempts to run the index, which begin with the lock.
	lockRetry = 5 * time.Second
	// startRetry is the pause after the first failure; it doubles up to lockRetry.
	startRetry = 250 * time.Millisecond
)

// Index keeps a row per order of the journal and answers queries. Its methods may be called from any goroutine.
type Index struct {
	js    jetstream.JetStream
	cfg   Config
	log   *slog.Logger
	instr *instrumentation
	// current is set while this process has the index.
	current atomic.Pointer[session]
	// rebuilt: Config.Rebuild is done. It belongs to Run.
	rebuilt bool
}

// New returns an index of the journal that js accesses. It reads nothing before Run. The caller must call Close.
func New(js jetstream.JetStream, cfg Config) (*Index, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	x := &Index{js: js, cfg: cfg, log: cfg.Logger}
	var err error
	if x.instr, err = newInstrumentation(cfg.Meter, x); err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	return x, nil
}

// Close unregisters the metrics. Call it after Run has returned.
func (x *Index) Close() { x.instr.close() }

// Run keeps the index until ctx ends. Failures are logged and retried: orders do not depend on the index.
func (x *Index) Run(ctx context.Context) {
	pause := startRetry
	var logged string
	var at time.Time
	for {
		began := time.Now()
		err := x.runOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		now := time.Now()
		if now.Sub(began) > time.Minute {
			pause = startRetry
		}
		locked := errors.Is(err, errLocked)
		if err.Error() != logged || !locked && now.Sub(at) >= logInterval {
			logged, at = err.Error(), now
			if locked {
				x.log.Warn("no index on this node: another process has the index in ORDERLY_DATA_DIR and replies for this node", "directory", x.cfg.Dir)
			} else {
				x.log.Warn("no index on this node, retrying", telemetry.KeyError, err)
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

// Lag is the age of the time as of which replies are complete; false while this process has no index.
func (x *Index) Lag() (time.Duration, bool) {
	se := x.current.Load()
	if se == nil {
		return 0, false
	}
	return se.state.Load().lag(time.Now()), true
}

func (s *state) lag(now time.Time) time.Duration {
	if s.asOf.IsZero() {
		return 0
	}
	return max(0, now.Sub(s.asOf))
}
