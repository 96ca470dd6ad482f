package ingress

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/failpoint"
	"github.com/orderly-engine/orderly/messages/health"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

const (
	// maxDeadWrites and maxDeadBytes bound the dead letters that are being stored: their number, and the bytes of their
	// messages.
	maxDeadWrites = 256
	maxDeadBytes  = 16 << 20
	// deadLogInterval is the interval in which maxDeadLogged dead letters are logged one by one; the others are counted.
	deadLogInterval = 10 * time.Second
	maxDeadLogged   = 10
)

// deadLetterWriter stores dead letters, many at a time, in the order in which they are added. A delivery stays in flight until
// its dead letter is stored, the ledger has its message, and that is terminated.
type deadLetterWriter struct {
	inbox     *Inbox
	check     *health.Check
	queue     chan *heldDelivery
	publisher *natsclient.Publisher
	// written takes the size of each message whose write has ended.
	written chan int
	// stored and failed sample the log lines about dead letters that are stored, and that could not be.
	stored, failed *logSample
}

func newDeadLetterWriter(i *Inbox) (*deadLetterWriter, error) {
	publisher, err := natsclient.NewPublisher(i.nc, natsclient.PublisherConfig{
		Config: natsclient.Config{Timeout: requestTimeout}, Batch: i.cfg.GroupAck,
	})
	if err != nil {
		return nil, fmt.Errorf("publish dead letters: %w", err)
	}
	return &deadLetterWriter{
		inbox: i, check: i.cfg.Health.Check("dead letters", 0), queue: make(chan *heldDelivery, 2*i.cfg.MaxInFlight),
		publisher: publisher, written: make(chan int, maxDeadWrites),
		stored: newLogSample(maxDeadLogged), failed: newLogSample(maxDeadLogged),
	}, nil
}

// add queues a delivery that becomes a dead letter. The queue has room for every delivery in flight.
func (w *deadLetterWriter) add(r *heldDelivery) {
	select {
	case w.queue <- r:
	default:
		w.inbox.nak(r, time.Second)
	}
}

// run starts a write for each queued delivery while there is room, and returns when ctx has ended and every write too.
func (w *deadLetterWriter) run(ctx context.Context) {
	ticker := time.NewTicker(deadLogInterval)
	defer ticker.Stop()
	var (
		writes sync.WaitGroup
		load   deadLoad
		next   *heldDelivery
	)
	previous := closedChannel()
	defer w.logCounts()
	defer writes.Wait()
	for {
		queue := w.queue
		if next != nil {
			queue = nil
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			w.logCounts()
		case size := <-w.written:
			load.remove(size)
		case next = <-queue:
		}
		if next == nil || !load.add(next.size) {
			continue
		}
		r, before, published := next, previous, make(chan struct{})
		next, previous = nil, published
		writes.Go(func() {
			w.write(ctx, r, before, published)
			w.written <- r.size
		})
	}
}

// deadLoad is what is being written.
type deadLoad struct{ count, bytes int }

// add reports whether there is room for a message of that size, and adds it. There always is if nothing is being written.
func (l *deadLoad) add(size int) bool {
	if l.count > 0 && (l.count == maxDeadWrites || l.bytes+size > maxDeadBytes) {
		return false
	}
	l.count++
	l.bytes += size
	return true
}

func (l *deadLoad) remove(size int) {
	l.count--
	l.bytes -= size
}

func closedChannel() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func (w *deadLetterWriter) logCounts() {
	if n := w.stored.takeHidden(); n > 0 {
		w.inbox.log.Warn("more dead letters stored than are logged", "count", n)
	}
	if n := w.failed.takeHidden(); n > 0 {
		w.inbox.log.Error("more dead letters not stored than are logged", "count", n)
	}
}

// errMessageGone: the stream does not store the message any more, so another node has settled it.
var errMessageGone = errors.New("message is no longer stored")

// write stores a dead letter and terminates its message. It publishes after before is closed, and then closes published.
func (w *deadLetterWriter) write(ctx context.Context, r *heldDelivery, before <-chan struct{}, published chan<- struct{}) {
	i := w.inbox
	reason := sanitize(r.rejection.reason, maxReason)
	ack, err := w.store(ctx, r, reason, before, published)
	attrs := []any{"order_id", r.OrderID, "stream", r.Stream, "sequence", r.Sequence, "reason", reason}
	switch {
	case err == nil:
		w.check.OK()
		failpoint.Pass(failpoint.AfterDeadLetter)
		i.ledger.add(unnamed{r, messages.LedgerKind_LEDGER_KIND_DEAD_LETTERED, func(r *heldDelivery) { w.remove(r, reason) }})
		i.instruments.deadLettered(r.rejection.class)
		if w.stored.next() {
			i.log.Warn("dead letter stored", append(attrs, "dead_sequence", ack.Sequence)...)
		}
	case errors.Is(err, errMessageGone), errors.Is(err, errReconnected):
		i.release(r)
	case ctx.Err() != nil: // not settled: the message is redelivered
		i.inflight.remove(r)
	default:
		w.check.Fail(err)
		i.nak(r, redeliveryDelay(r.Deliveries))
		if w.failed.next() {
			i.log.Error("dead letter not stored, its message stays in the inbox", append(attrs, "error", err)...)
		}
	}
}

// remove removes the message of a stored dead letter. A message that can be decoded may take effect if it is delivered again,
// and is therefore removed at once (R7). The others are rejected again; their acks may wait for a purge.
func (w *deadLetterWriter) remove(r *heldDelivery, reason string) {
	if r.rejection.class == classSettledDead || r.rejection.class == classPoison {
		w.inbox.replyAndRelease(r, natsclient.Term(truncate(reason, 256)))
		return
	}
	w.inbox.ack(r)
}

// errReconnected: a dead letter is not fenced. A restarted server may have lost this delivery and delivered the message to
// another node, where it may take effect.
var errReconnected = errors.New("delivered over an earlier connection")

// store returns the ack of the dead letter.
func (w *deadLetterWriter) store(ctx context.Context, r *heldDelivery, reason string, before <-chan struct{}, published chan<- struct{}) (jetstream.PubAck, error) {
	m, err := w.inbox.lookup.get(ctx, r.Stream, natsclient.Get{Sequence: r.Sequence})
	if err == nil && m == nil {
		err = errMessageGone
	}
	p := &deadPublication{acked: make(chan struct{})}
	if err == nil {
		p.m = encodeDeadLetter(r.OrderID, reason, r.Stream, m)
	}
	select {
	case <-before:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err == nil && w.inbox.nc.Stats().Reconnects != r.reconnects {
		err = errReconnected
	}
	if err != nil {
		close(published)
		return jetstream.PubAck{}, err
	}
	failpoint.Pass(failpoint.BeforeDeadLetter)
	w.publisher.Publish(p)
	close(published)
	select {
	case <-p.acked:
	case <-ctx.Done():
		return jetstream.PubAck{}, ctx.Err()
	}
	if p.err != nil {
		return jetstream.PubAck{}, fmt.Errorf("publish: %w", natsclient.Refused(w.inbox.nc, p.m.Subject, publishError(p.err)))
	}
	return p.ack, nil
}

// redeliveryDelay is 1 s per delivery so far, at most 30 s.
func redeliveryDelay(deliveries uint64) time.Duration {
	return time.Duration(min(deliveries, 30)) * time.Second
}
