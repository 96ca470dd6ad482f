package journal

import (
	"time"

	"github.com/nats-io/nats.go"
)

// watch ends what is not answered: waits past their deadline, all waits when the connection is lost, and what could
// not be sent. It asks the connection nothing, for that would wait as long as a publish is stuck in a write.
func (j *Journal) watch() {
	ticker := time.NewTicker(min(max(j.cfg.AckTimeout/8, time.Millisecond), 250*time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-j.stop:
			return
		case <-j.kick:
			j.endUnsent(false)
		case <-ticker.C:
			j.end(j.pending.expire(j.now()), errLost)
		case status, ok := <-j.status:
			if !ok {
				return
			}
			j.down.Store(status != nats.CONNECTED)
			if status == nats.CONNECTED {
				continue
			}
			waiters := j.pending.expire(forever)
			j.end(waiters, errLost)
			j.log.Warn("connection to nats lost", "status", status.String(), "appends_in_doubt", len(waiters))
		}
	}
}

// isDown reports whether the connection is away. The watching goroutine may have missed that it came back: the client
// library drops a status that does not fit into the channel.
func (j *Journal) isDown() bool {
	if j.down.Load() && j.nc.IsConnected() {
		j.down.Store(false)
	}
	return j.down.Load()
}

// notSent ends the wait of a publish that failed.
func (j *Journal) notSent(t token, err error) {
	if w := j.pending.take(t); w != nil {
		j.endLater(w, err)
	}
}

// endLater ends a wait on the watching goroutine, because the caller may be inside a Done.
func (j *Journal) endLater(w waiter, err error) {
	j.unsentMu.Lock()
	over := j.over
	if !over {
		j.unsent = append(j.unsent, ending{w, err})
	}
	j.unsentMu.Unlock()
	if over {
		w.failed(j, err)
		return
	}
	select {
	case j.kick <- struct{}{}:
	default:
	}
}

func (j *Journal) endUnsent(over bool) {
	j.unsentMu.Lock()
	unsent := j.unsent
	j.unsent, j.over = nil, over
	j.unsentMu.Unlock()
	if len(unsent) == 0 {
		return
	}
	j.turn.Lock()
	defer j.turn.Unlock()
	for _, e := range unsent {
		e.waiter.failed(j, e.err)
	}
}

func (j *Journal) end(waiters []waiter, err error) {
	if len(waiters) == 0 {
		return
	}
	j.turn.Lock()
	defer j.turn.Unlock()
	for _, w := range waiters {
		w.failed(j, err)
	}
}
