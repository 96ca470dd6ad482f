package ingress

import (
	"context"
	"time"

	"github.com/orderly-engine/orderly/ingress/ledger"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/failpoint"
)

// ledgerDelay is how long the first of the deliveries waits that are stored in the ledger together.
const ledgerDelay = 20 * time.Millisecond

// ledgerWriter stores in the ledger what becomes of messages that no journal entry names, many at a time, and then has them leave
// the inbox. A delivery stays in flight until then.
type ledgerWriter struct {
	inbox  *Inbox
	ledger *ledger.Ledger
	queue  chan unnamed
}

// unnamed is a delivery of a message that no journal entry names.
type unnamed struct {
	*heldDelivery
	kind messages.LedgerKind
	// settle makes the message leave the inbox.
	settle func(*heldDelivery)
}

func newLedgerWriter(i *Inbox) *ledgerWriter {
	return &ledgerWriter{inbox: i, ledger: ledger.New(i.js, i.log), queue: make(chan unnamed, 2*i.cfg.MaxInFlight)}
}

// add queues a delivery. The queue has room for every delivery in flight.
func (w *ledgerWriter) add(u unnamed) {
	select {
	case w.queue <- u:
	default:
		w.inbox.nak(u.heldDelivery, time.Second)
	}
}

func (w *ledgerWriter) run(ctx context.Context) {
	var batch []unnamed
	for {
		select {
		case <-ctx.Done():
			return
		case u := <-w.queue:
			batch = w.gather(ctx, append(batch[:0], u))
		}
		for _, kind := range []messages.LedgerKind{messages.LedgerKind_LEDGER_KIND_WITHOUT_EFFECT, messages.LedgerKind_LEDGER_KIND_DEAD_LETTERED} {
			w.write(ctx, kind, batch)
		}
		clear(batch)
	}
}

// gather adds what arrives within ledgerDelay.
func (w *ledgerWriter) gather(ctx context.Context, batch []unnamed) []unnamed {
	timer := time.NewTimer(ledgerDelay)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return batch
		case <-timer.C:
			return batch
		case u := <-w.queue:
			batch = append(batch, u)
		}
	}
}

// write stores the messages of that kind, and then settles their deliveries.
func (w *ledgerWriter) write(ctx context.Context, kind messages.LedgerKind, batch []unnamed) {
	var sequences []uint64
	for _, u := range batch {
		// Wake-ups are not messages of the inbox: nothing accounts for them.
		if u.kind == kind && u.Stream == messages.StreamOrders {
			sequences = append(sequences, u.Sequence)
		}
	}
	var err error
	if len(sequences) > 0 {
		failpoint.Pass(failpoint.BeforeLedger)
		if err = w.ledger.Append(ctx, kind, ledger.NewSet(sequences)); err == nil {
			failpoint.Pass(failpoint.AfterLedger)
		}
	}
	if err != nil && ctx.Err() == nil {
		w.inbox.log.Error("ledger not written, the messages stay in the inbox", "stream", messages.StreamLedger, "messages", len(sequences), "error", err)
	}
	for _, u := range batch {
		switch {
		case u.kind != kind:
		case err == nil:
			u.settle(u.heldDelivery)
		case ctx.Err() != nil: // not settled: the message is redelivered
			w.inbox.inflight.remove(u.heldDelivery)
		default:
			w.inbox.nak(u.heldDelivery, redeliveryDelay(u.Deliveries))
		}
	}
}
