package ingress

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/failpoint"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

const (
	// minPurge is the lowest number of messages for which a purge is cheaper than single acks.
	minPurge = 16
	// gatherInterval is the time between two flushes. Fewer than minPurge acks stay pending for up to fewDelay, so that on a
	// slow disk enough of them accumulate for a purge.
	gatherInterval = 10 * time.Millisecond
	fewDelay       = 250 * time.Millisecond
	// maxPendingAcks is the largest number of acks that are pending for the full delay, and of sequences in ackedSingly.
	maxPendingAcks = 8192
	// purgeTimeout bounds a purge, so that no ack wait ends before its messages are acknowledged singly instead. After a failed
	// purge there is none for purgePause.
	purgeTimeout = time.Second
	purgePause   = time.Minute
)

// Acknowledger acknowledges messages of the inbox by purges where that saves syncs. A server that syncs every write syncs for
// each acknowledged message that it removes from a work queue, but only a few times for a purge of any size. So the messages at
// the head of the stream are purged if this node has settled all of them; the consumer counts them as acknowledged. Every
// other message is acknowledged singly.
//
// A purge delays pending redeliveries in the server by another ack wait. Therefore purges are suspended while messages are
// or may be redelivered: see suspendPurge.
type Acknowledger struct {
	js  jetstream.JetStream
	log *slog.Logger
	// maxDelay is the longest time for which an ack is pending.
	maxDelay time.Duration

	mu sync.Mutex
	// pendingAcks are settled messages that are not acknowledged, by sequence.
	pendingAcks map[uint64]pendingAck
	// ackedSingly are sequences acknowledged while other acks were pending: they do not end the acknowledged head.
	ackedSingly map[uint64]bool
	purgeAfter  time.Time

	wake chan struct{}
	stop context.CancelFunc
	done sync.WaitGroup
}

type pendingAck struct {
	replyTo string
	since   time.Time
}

// NewAcknowledger acknowledges through the connection of js. When a message is settled, at most two thirds of ackWait may have
// passed. The caller must call Close.
func NewAcknowledger(js jetstream.JetStream, ackWait time.Duration, logger *slog.Logger) *Acknowledger {
	a := &Acknowledger{
		js: js, log: logger, pendingAcks: map[uint64]pendingAck{}, ackedSingly: map[uint64]bool{},
		maxDelay: ackWait / 5, wake: make(chan struct{}, 1),
	}
	ctx, stop := context.WithCancel(context.Background())
	a.stop = stop
	a.done.Go(func() { a.run(ctx) })
	return a
}

// Ack acknowledges the message with that sequence and reply subject, soon, and at the latest on Close. If the ack is lost, the
// message is redelivered.
func (a *Acknowledger) Ack(seq uint64, replyTo string) {
	a.mu.Lock()
	a.pendingAcks[seq] = pendingAck{replyTo, time.Now()}
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// suspendPurge stops purges for d, within which messages may be redelivered. Until then messages are acknowledged singly.
func (a *Acknowledger) suspendPurge(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if until := time.Now().Add(d); until.After(a.purgeAfter) {
		a.purgeAfter = until
	}
}

// Close acknowledges everything pending.
func (a *Acknowledger) Close() {
	a.stop()
	a.done.Wait()
	a.ackOlderThan(0)
}

// run flushes every gatherInterval while acks are pending.
func (a *Acknowledger) run(ctx context.Context) {
	gather := time.NewTimer(gatherInterval)
	defer gather.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.wake:
		}
		for more := true; more; more = a.flush(ctx) {
			gather.Reset(gatherInterval)
			select {
			case <-ctx.Done():
				return
			case <-gather.C:
			}
		}
	}
}

// flush purges the head, acknowledges what has been pending for long enough, and reports whether acks are still pending.
func (a *Acknowledger) flush(ctx context.Context) bool {
	if a.canPurge() {
		if err := a.purge(ctx); err != nil && ctx.Err() == nil {
			// The purge may have succeeded; acknowledging a purged message has no effect.
			a.log.Warn("purge of settled messages failed, acknowledging singly: more syncs on a server that syncs every write",
				"stream", messages.StreamOrders, "retry_after", purgePause, "error", err)
			a.suspendPurge(purgePause)
		}
	}
	a.ackOlderThan(a.ackDelay())
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.pendingAcks) == 0 || len(a.ackedSingly) > maxPendingAcks {
		clear(a.ackedSingly)
	}
	return len(a.pendingAcks) > 0
}

// canPurge reports whether enough acks are pending and purges are not suspended.
func (a *Acknowledger) canPurge() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.pendingAcks) >= minPurge && !time.Now().Before(a.purgeAfter)
}

// ackDelay is how long an ack may be pending now.
func (a *Acknowledger) ackDelay() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case time.Now().Before(a.purgeAfter):
		return 0
	case len(a.pendingAcks) < minPurge || len(a.pendingAcks) > maxPendingAcks:
		return min(fewDelay, a.maxDelay)
	}
	return a.maxDelay
}

// ackOlderThan acknowledges singly what has been pending for at least d.
func (a *Acknowledger) ackOlderThan(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	for seq, ack := range a.pendingAcks {
		if now.Sub(ack.since) < d {
			continue
		}
		if err := a.js.Conn().Publish(ack.replyTo, natsclient.Ack); err != nil {
			a.log.Warn("delivery not settled", "stream", messages.StreamOrders, "sequence", seq, "error", err)
		}
		delete(a.pendingAcks, seq)
		a.ackedSingly[seq] = true
	}
}

// purge deletes the messages at the head of the stream, up to the first that this node has not settled.
func (a *Acknowledger) purge(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, purgeTimeout)
	defer cancel()
	stream, err := a.js.Stream(ctx, messages.StreamOrders)
	if err != nil {
		return err
	}
	first := stream.CachedInfo().State.FirstSeq
	end, count := a.ackedHead(first)
	if count < minPurge {
		return nil
	}
	failpoint.Pass(failpoint.BeforePurge)
	if err := stream.Purge(ctx, jetstream.WithPurgeSequence(end)); err != nil {
		return err
	}
	failpoint.Pass(failpoint.AfterPurge)
	a.mu.Lock()
	defer a.mu.Unlock()
	for seq := first; seq < end; seq++ {
		delete(a.pendingAcks, seq)
	}
	for seq := range a.ackedSingly {
		if seq < end {
			delete(a.ackedSingly, seq)
		}
	}
	return nil
}

// ackedHead returns the first sequence from first on that this node has not settled, and how many acks are pending before it.
func (a *Acknowledger) ackedHead(first uint64) (end uint64, count int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for end = first; ; end++ {
		if _, pending := a.pendingAcks[end]; pending {
			count++
		} else if !a.ackedSingly[end] {
			return end, count
		}
	}
}
