package ingress

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages/failpoint"
	"github.com/orderly-engine/orderly/messages/health"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

// deadLetterWriter stores dead letters, one at a time. A delivery stays in flight until its dead letter is stored and its
// message terminated.
type deadLetterWriter struct {
	inbox *Inbox
	check *health.Check
	queue chan *heldDelivery
}

func newDeadLetterWriter(i *Inbox) *deadLetterWriter {
	return &deadLetterWriter{inbox: i, check: i.cfg.Health.Check("dead letters", 0), queue: make(chan *heldDelivery, 2*i.cfg.MaxInFlight)}
}

// add queues a delivery that becomes a dead letter. The queue has room for every delivery in flight.
func (w *deadLetterWriter) add(r *heldDelivery) {
	select {
	case w.queue <- r:
	default:
		w.inbox.nak(r, time.Second)
	}
}

func (w *deadLetterWriter) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-w.queue:
			w.write(ctx, r)
		}
	}
}

// errMessageGone: the stream does not store the message any more, so another node has settled it.
var errMessageGone = errors.New("message is no longer stored")

func (w *deadLetterWriter) write(ctx context.Context, r *heldDelivery) {
	i := w.inbox
	if i.nc.Stats().Reconnects != r.reconnects {
		// A dead letter is not fenced. A restarted server may have lost this delivery and delivered the message to another
		// node, where it may take effect.
		i.release(r)
		return
	}
	reason := sanitize(r.rejection.reason, maxReason)
	failpoint.Pass(failpoint.BeforeDeadLetter)
	ack, err := w.store(ctx, r, reason)
	log := i.log.With("order_id", r.OrderID, "stream", r.Stream, "sequence", r.Sequence, "reason", reason)
	switch {
	case err == nil:
		w.check.OK()
		failpoint.Pass(failpoint.AfterDeadLetter)
		i.replyAndRelease(r, natsclient.Term(truncate(reason, 256)))
		i.instruments.deadLettered(r.rejection.class)
		log.Warn("dead letter stored", "dead_sequence", ack.Sequence)
	case errors.Is(err, errMessageGone):
		i.release(r)
	case ctx.Err() != nil: // not settled: the message is redelivered
		i.inflight.remove(r)
	default:
		w.check.Fail(err)
		i.nak(r, redeliveryDelay(r.Deliveries))
		log.Error("dead letter not stored, its message stays in the inbox", "error", err)
	}
}

// store returns the ack of the dead letter.
func (w *deadLetterWriter) store(ctx context.Context, r *heldDelivery, reason string) (*jetstream.PubAck, error) {
	m, err := w.inbox.lookup.get(ctx, r.Stream, natsclient.Get{Sequence: r.Sequence})
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, errMessageGone
	}
	ack, err := publish(ctx, w.inbox.js, encodeDeadLetter(r.OrderID, reason, r.Stream, m))
	if err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	return ack, nil
}

// redeliveryDelay is 1 s per delivery so far, at most 30 s.
func redeliveryDelay(deliveries uint64) time.Duration {
	return time.Duration(min(deliveries, 30)) * time.Second
}
