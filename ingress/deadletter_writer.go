package ingress

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/failpoint"
)

// undertaker stores dead letters, one after the other. A delivery in its hands is in flight until the dead letter is
// stored and the message terminated.
type undertaker struct {
	inbox   *Inbox
	courier *courier
	// queue never fills up: it has room for everything that can be in flight.
	queue chan *receipt
}

func newUndertaker(i *Inbox) (*undertaker, error) {
	c, err := newCourier(i.nc, requestTimeout)
	if err != nil {
		return nil, err
	}
	return &undertaker{inbox: i, courier: c, queue: make(chan *receipt, 2*i.cfg.MaxInFlight)}, nil
}

// bury queues a delivery whose message is dead.
func (i *Inbox) bury(r *receipt) {
	select {
	case i.undertaker.queue <- r:
	default:
		i.later(r, time.Second)
	}
}

func (u *undertaker) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-u.queue:
			u.bury(ctx, r)
		}
	}
}

func (u *undertaker) close() { u.courier.close() }

// errGone: the message is no longer stored, so somebody else has settled it.
var errGone = errors.New("the message is gone")

func (u *undertaker) bury(ctx context.Context, r *receipt) {
	i := u.inbox
	if i.nc.Stats().Reconnects != r.session.reconnects {
		// The server may have been killed meanwhile and have forgotten the delivery: then another node has the message, and
		// it may take effect there. Nothing fences a dead letter.
		i.release(r)
		return
	}
	reason := line(r.reason, maxReason)
	failpoint.Pass(failpoint.BeforeDeadLetter)
	seq, err := u.store(ctx, r, reason)
	switch {
	case err == nil:
		failpoint.Pass(failpoint.AfterDeadLetter)
		i.end(r, terminate(clip(reason, 256)))
		i.instruments.buried(i.base, r.class)
		i.log.Warn("message moved to the dead letters", "order_id", r.OrderID, "stream", r.Stream, "sequence", r.Sequence, "dead_sequence", seq,
			"reason", reason)
	case errors.Is(err, errGone):
		i.release(r)
	case ctx.Err() != nil: // it stays unacknowledged
		i.flight.remove(r)
	default:
		i.later(r, again(r.Deliveries))
		i.log.Error("dead letter not stored, its message stays in the inbox", "order_id", r.OrderID, "stream", r.Stream, "sequence", r.Sequence,
			"reason", reason, "error", err)
	}
}

// store returns the sequence of the dead letter once the stream has acknowledged it.
func (u *undertaker) store(ctx context.Context, r *receipt, reason string) (uint64, error) {
	m, err := u.inbox.lookup.get(ctx, r.Stream, messageRequest{Seq: r.Sequence})
	if err != nil {
		return 0, err
	}
	if m == nil {
		return 0, errGone
	}
	id := string(r.OrderID)
	if id == "" {
		id = messages.DeadUnknown
	}
	letter := newDeadLetter(id, reason, r.Stream, m)
	ack, err := u.courier.deliver(ctx, letter)
	if err != nil {
		return 0, fmt.Errorf("store a dead letter: %w", err)
	}
	return ack.Sequence, nil
}

// again is when a message whose dead letter could not be stored is delivered again.
func again(deliveries uint64) time.Duration {
	return time.Duration(min(deliveries, 30)) * time.Second
}
