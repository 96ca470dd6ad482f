package ingress

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/failpoint"
)

const (
	// leastPurge is the smallest number of messages worth a purge.
	leastPurge = 16
	// gatherFor is how long acknowledgements are gathered; fewer than leastPurge wait fewFor at most, so that they become
	// enough where the disk is slow, and each sync counts.
	gatherFor = 10 * time.Millisecond
	fewFor    = 250 * time.Millisecond
	// maxKept bounds how many wait for messages before them that are not settled, and for how many of those that did not
	// wait any longer it is remembered.
	maxKept = 8192
	// purgeTimeout bounds a purge, after which what it was for is acknowledged otherwise: no ack wait may run out meanwhile.
	// purgePause is for how long none is tried after one that failed.
	purgeTimeout = time.Second
	purgePause   = time.Minute
)

// Acknowledger acknowledges messages of the inbox, many at a time where that saves syncs: a server that syncs every write
// syncs for each message that an acknowledgement removes from a work queue, but only a few times for a purge, however
// much it removes. So the messages at the head of the stream, if this node has settled every one of them, are purged
// instead, by which the consumer counts them as acknowledged. Every other message is acknowledged by itself.
//
// A purge makes the server forget which messages it was about to deliver again, until their ack wait is over once more.
// Therefore there is none while messages come again, or may: see disturb.
type Acknowledger struct {
	nc  *nats.Conn
	api string
	log *slog.Logger

	mu sync.Mutex
	// kept are settled and not acknowledged, by sequence.
	kept map[uint64]keptAck
	// lone were acknowledged by themselves while others were kept, and are no gap between those.
	lone map[uint64]bool
	// calm is when purges may begin again.
	calm time.Time

	// patience is how long one waits for those before it.
	patience time.Duration

	kick chan struct{}
	stop context.CancelFunc
	done sync.WaitGroup
}

type keptAck struct {
	reply string
	since time.Time
}

// NewAcknowledger acknowledges through the connection of js. Of the consumer's ack wait at most two thirds may have
// passed when a message is settled. Close it in the end.
func NewAcknowledger(js jetstream.JetStream, ackWait time.Duration, logger *slog.Logger) *Acknowledger {
	a := &Acknowledger{
		nc: js.Conn(), api: apiPrefix(js), log: logger, kept: map[uint64]keptAck{}, lone: map[uint64]bool{},
		patience: ackWait / 5, kick: make(chan struct{}, 1),
	}
	ctx, stop := context.WithCancel(context.Background())
	a.stop = stop
	a.done.Go(func() { a.run(ctx) })
	return a
}

// Ack acknowledges the message with that sequence, whose delivery is answered on reply: soon, or at the latest on Close.
// An acknowledgement that gets lost means another delivery.
func (a *Acknowledger) Ack(seq uint64, reply string) {
	a.mu.Lock()
	a.kept[seq] = keptAck{reply, time.Now()}
	a.mu.Unlock()
	select {
	case a.kick <- struct{}{}:
	default:
	}
}

// disturb says that messages may be delivered again within d: until then every message is acknowledged by itself.
func (a *Acknowledger) disturb(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if until := time.Now().Add(d); until.After(a.calm) {
		a.calm = until
	}
}

// Close acknowledges what is kept.
func (a *Acknowledger) Close() {
	a.stop()
	a.done.Wait()
	a.release(func(keptAck) bool { return true })
}

// run works off what is kept, as long as there is something.
func (a *Acknowledger) run(ctx context.Context) {
	gather := time.NewTimer(gatherFor)
	defer gather.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.kick:
		}
		for more := true; more; {
			gather.Reset(gatherFor)
			select {
			case <-ctx.Done():
				return
			case <-gather.C:
			}
			more = a.work(ctx)
		}
	}
}

// work acknowledges what need not be kept any longer, and reports whether something is kept.
func (a *Acknowledger) work(ctx context.Context) bool {
	if a.worthwhile() {
		if err := a.purge(ctx); err != nil && ctx.Err() == nil {
			// Nobody knows what was purged. To acknowledge what is gone does nothing.
			a.log.Warn("settled messages cannot be purged: they are acknowledged one by one, which costs a server that syncs every write more",
				"stream", messages.StreamOrders, "again_after", purgePause, "error", err)
			a.disturb(purgePause)
		}
	}
	now, patience := time.Now(), a.bearing()
	a.release(func(k keptAck) bool { return now.Sub(k.since) >= patience })
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.kept) == 0 || len(a.lone) > maxKept {
		clear(a.lone)
	}
	return len(a.kept) > 0
}

// worthwhile reports whether enough is kept for a purge, and nothing comes again.
func (a *Acknowledger) worthwhile() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.kept) >= leastPurge && !time.Now().Before(a.calm)
}

// bearing is how long one of those that are kept may wait now.
func (a *Acknowledger) bearing() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case time.Now().Before(a.calm):
		return 0
	case len(a.kept) < leastPurge || len(a.kept) > maxKept:
		return min(fewFor, a.patience)
	}
	return a.patience
}

// release acknowledges those by themselves that which chooses.
func (a *Acknowledger) release(which func(keptAck) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for seq, k := range a.kept {
		if !which(k) {
			continue
		}
		if err := a.nc.Publish(k.reply, ack); err != nil {
			a.log.Warn("delivery not settled", "stream", messages.StreamOrders, "sequence", seq, "error", err)
		}
		delete(a.kept, seq)
		a.lone[seq] = true
	}
}

// purge removes the messages at the head of the stream, up to the first that this node has not settled.
func (a *Acknowledger) purge(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, purgeTimeout)
	defer cancel()
	var info struct {
		apiAnswer
		State struct {
			First uint64 `json:"first_seq"`
		} `json:"state"`
	}
	if err := a.ask(ctx, "STREAM.INFO.", nil, &info); err != nil {
		return err
	}
	first := info.State.First
	end, count := a.head(first)
	if count < leastPurge {
		return nil
	}
	failpoint.Pass(failpoint.BeforePurge)
	var purged apiAnswer
	if err := a.ask(ctx, "STREAM.PURGE.", fmt.Appendf(nil, `{"seq":%d}`, end), &purged); err != nil {
		return err
	}
	failpoint.Pass(failpoint.AfterPurge)
	a.mu.Lock()
	defer a.mu.Unlock()
	for seq := first; seq < end; seq++ {
		delete(a.kept, seq)
	}
	for seq := range a.lone {
		if seq < end {
			delete(a.lone, seq)
		}
	}
	return nil
}

// head is the first sequence from first on that this node has not settled, and how many before it are kept.
func (a *Acknowledger) head(first uint64) (end uint64, count int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for end = first; ; end++ {
		if _, kept := a.kept[end]; kept {
			count++
		} else if !a.lone[end] {
			return end, count
		}
	}
}

// apiAnswer is what all answers of the JetStream API have in common.
type apiAnswer struct {
	Error *apiError `json:"error"`
}

func (a *apiAnswer) failure() error {
	if a.Error == nil {
		return nil
	}
	return a.Error
}

// ask asks about the inbox.
func (a *Acknowledger) ask(ctx context.Context, what string, body []byte, answer interface{ failure() error }) error {
	reply, err := a.nc.RequestWithContext(ctx, a.api+what+messages.StreamOrders, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(reply.Data, answer); err != nil {
		return err
	}
	return answer.failure()
}
