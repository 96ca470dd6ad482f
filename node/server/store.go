package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages/health"
)

const (
	// storeInterval is the time between two looks at the embedded store.
	storeInterval = time.Second
	// reopenPause is the shortest time between the ends of two reopenings.
	reopenPause = 10 * time.Second
	// maxReopened is how often the store is reopened in a row without success before the node ends.
	maxReopened = 3
	// reopenTimeout is how long a reopening may take before a restart of the process would help.
	reopenTimeout = time.Minute
)

// store is an *embedded.Server.
type store interface {
	Failure() error
	CanWrite() error
	Reopen() error
}

// storeWatch reopens the embedded store after a write error, once the disk takes writes again. The server itself refuses every
// message after its first write error.
type storeWatch struct {
	store store
	check *health.Check
	log   *slog.Logger

	// healthy: the store has worked since the start. If it never has, as with a damaged stream of others, reopening cannot help.
	healthy bool
	// failures counts the looks in a row at which the store had failed. One alone counts nothing: the server also says that it fails
	// when it takes longer than 1 ms to look, as on a busy machine.
	failures int
	// reopened counts the reopenings since the store has worked; lastReopened is when the last one ended.
	reopened     int
	lastReopened time.Time
	// reopening is when the reopening in progress began, in nanoseconds since 1970; 0: none is.
	reopening atomic.Int64
}

// watchStore begins to watch the embedded store. A store that cannot be reopened stops the node with an error.
func (n *node) watchStore() {
	w := &storeWatch{store: n.server, check: n.health.Check("store", 0), log: n.log}
	n.backend.store.Store(w)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if err := w.look(time.Now()); err != nil {
				n.fail(err)
				return
			}
			_ = pause(ctx, storeInterval)
		}
	}()
	n.onStop(func() { stop(); <-done })
}

// storeState measures the embedded store.
func (n *node) storeState(context.Context) (ingress.StoreState, error) {
	u, err := n.server.Usage()
	return ingress.StoreState{Left: max(0, u.Limit-u.Used), Limit: u.Limit, Disk: u.Disk}, err
}

// look reopens the store if it has failed and can be written again. An error is final.
func (w *storeWatch) look(now time.Time) error {
	failure := w.store.Failure()
	if failure == nil {
		w.check.OK()
		w.healthy, w.failures, w.reopened = true, 0, 0
		return nil
	}
	if w.failures++; !w.healthy || w.failures == 1 {
		return nil
	}
	w.check.Fail(failure)
	if w.failures == 2 {
		w.log.Error("store has failed; it is reopened once the disk takes writes", "error", failure)
	}
	if now.Sub(w.lastReopened) < reopenPause {
		return nil
	}
	if err := w.store.CanWrite(); err != nil {
		w.check.Fail(fmt.Errorf("%w; the disk takes no writes yet: %w", failure, err))
		return nil
	}
	if w.reopened == maxReopened {
		return fmt.Errorf("the store fails, also after it was reopened %d times: %w", w.reopened, failure)
	}
	w.log.Warn("disk takes writes again, reopening the store", "error", failure)
	w.reopening.Store(now.UnixNano())
	defer w.reopening.Store(0)
	if err := w.store.Reopen(); err != nil {
		return err
	}
	w.lastReopened, w.failures = time.Now(), 0
	w.reopened++
	w.log.Warn("store reopened", "took_ms", time.Since(now).Milliseconds())
	return nil
}

// live returns an error when a restart of the process would help: the reopening hangs.
func (w *storeWatch) live() error {
	if began := w.reopening.Load(); began != 0 && time.Since(time.Unix(0, began)) > reopenTimeout {
		return errors.New("the store could not be reopened: restart the node")
	}
	return nil
}
