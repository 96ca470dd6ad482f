package ingress

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/failpoint"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

// heldDelivery is a delivery with the data needed to settle it. It does not keep the message: a dead letter is made from the
// message in the stream.
type heldDelivery struct {
	delivery.Delivery
	inbox  *Inbox
	puller *puller
	// replyTo is the subject that settles the delivery.
	replyTo string
	// size is that of the message in bytes, weight what the delivery counts for in Config.Memory.
	size   int
	weight int64
	// reconnects is the connection's count of reconnects when the pull of the delivery began.
	reconnects uint64
	settled    atomic.Bool
	// rejection is the reason of a dead letter.
	rejection rejection

	// The other fields belong to inflightTable.
	prev, next *heldDelivery
	// extendedAt is when the current ack wait began, since the start of the inbox.
	extendedAt time.Duration
	inTable    bool
}

// What a delivery is taken to hold in memory, in bytes, beside twice the size of its message.
const (
	deliveryWeight = 1 << 10
	itemWeight     = 128
)

// weigh counts n more bytes.
func (r *heldDelivery) weigh(n int) {
	r.weight += int64(n)
	r.inbox.cfg.Memory.Add(int64(n))
}

// Settle settles the delivery; only the first call has an effect. A dropped delivery is released without a reply to the
// server.
func (r *heldDelivery) Settle(o delivery.Outcome) {
	if r.claim() {
		r.settle(o, classSettledDead)
	}
}

// claim reports whether the caller is the first to settle the delivery.
func (r *heldDelivery) claim() bool {
	if r.settled.CompareAndSwap(false, true) {
		return true
	}
	r.inbox.instruments.ignored.Add(context.Background(), 1)
	return false
}

func (r *heldDelivery) settle(o delivery.Outcome, class string) {
	i := r.inbox
	i.instruments.settled(o.Kind)
	switch o.Kind {
	case delivery.OutcomeDone:
		if o.WithoutEffect {
			i.ledger.add(unnamed{r, messages.LedgerKind_LEDGER_KIND_WITHOUT_EFFECT, i.ack})
			return
		}
		i.ack(r)
	case delivery.OutcomeDead:
		r.rejection = rejection{class, o.Reason}
		i.deadLetters.add(r)
	case delivery.OutcomeDropped:
		i.suspendPurge(2 * i.cfg.AckWait)
		i.release(r)
	case delivery.OutcomeLater:
		i.nak(r, o.Delay)
	default:
		i.log.Error("delivery settled with an unknown outcome", "order_id", r.OrderID, "stream", r.Stream, "sequence", r.Sequence,
			"outcome", int(o.Kind))
		i.nak(r, 0)
	}
}

// ack acknowledges a delivery whose effects are in the journal, or whose message is in the ledger.
func (i *Inbox) ack(r *heldDelivery) {
	failpoint.Pass(failpoint.BeforeAck)
	defer failpoint.Pass(failpoint.AfterAck)
	if i.acks == nil || r.Stream != messages.StreamOrders {
		i.replyAndRelease(r, natsclient.Ack)
		return
	}
	i.acks.Ack(r.Sequence, r.replyTo)
	i.release(r)
}

// nak makes the server redeliver the message after d.
func (i *Inbox) nak(r *heldDelivery, d time.Duration) {
	i.suspendPurge(d + i.cfg.AckWait)
	i.replyAndRelease(r, natsclient.NakAfter(d))
}

// suspendPurge records that messages may be redelivered within d.
func (i *Inbox) suspendPurge(d time.Duration) {
	if i.acks != nil {
		i.acks.suspendPurge(d)
	}
}

// replyAndRelease sends the reply first, so that the server has it before the pull request for the freed place.
func (i *Inbox) replyAndRelease(r *heldDelivery, body []byte) {
	i.reply(r, body)
	i.release(r)
}

// release removes the delivery from the table and frees its place.
func (i *Inbox) release(r *heldDelivery) {
	i.inflight.remove(r)
	i.cfg.Memory.Add(-r.weight)
	r.puller.release()
}

// reply sends an acknowledgement. If it cannot be sent, the message is redelivered.
func (i *Inbox) reply(r *heldDelivery, body []byte) {
	if err := i.nc.Publish(r.replyTo, body); err != nil {
		i.log.Warn("delivery not settled", "order_id", r.OrderID, "stream", r.Stream, "sequence", r.Sequence, "error", err)
	}
}
