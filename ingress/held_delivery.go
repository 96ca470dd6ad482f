package ingress

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/failpoint"
)

// receipt is a delivery together with what it takes to settle it. The message itself is not kept: a dead letter is made
// of what the stream stores.
type receipt struct {
	delivery.Delivery
	inbox  *Inbox
	puller *puller
	// session brought the delivery.
	session *session
	// reply is where the server listens for the end of this delivery.
	reply   string
	settled atomic.Bool
	// class and reason say why the message is dead.
	class, reason string

	// The rest belongs to flight.
	prev, next *receipt
	// signed is the time of the last sign of life, since the start of the inbox.
	signed time.Duration
	listed bool
}

// Settle ends the delivery. Only the first call has an effect.
func (r *receipt) Settle(o delivery.Outcome) {
	if r.first() {
		r.end(o, classRefused)
	}
}

// first reports whether the caller is the one to settle the delivery.
func (r *receipt) first() bool {
	if r.settled.CompareAndSwap(false, true) {
		return true
	}
	r.inbox.instruments.ignored.Add(r.inbox.base, 1)
	return false
}

func (r *receipt) end(o delivery.Outcome, class string) {
	i := r.inbox
	i.instruments.settled(i.base, o.Kind)
	switch o.Kind {
	case delivery.OutcomeDone:
		failpoint.Pass(failpoint.BeforeAck)
		i.acknowledge(r)
		failpoint.Pass(failpoint.AfterAck)
	case delivery.OutcomeDead:
		r.class, r.reason = class, o.Reason
		i.bury(r)
	case delivery.OutcomeDropped:
		i.disturb(2 * i.cfg.AckWait)
		i.release(r)
	case delivery.OutcomeLater:
		i.later(r, o.Delay)
	default:
		i.log.Error("delivery settled with an unknown verdict", "order_id", r.OrderID, "stream", r.Stream, "sequence", r.Sequence,
			"verdict", int(o.Kind))
		i.later(r, 0)
	}
}

// The bodies of acknowledgements.
var (
	ack        = []byte("+ACK")
	nak        = []byte("-NAK")
	inProgress = []byte("+WPI")
)

func nakAfter(d time.Duration) []byte {
	if d <= 0 {
		return nak
	}
	return append(strconv.AppendInt([]byte(`-NAK {"delay": `), int64(d), 10), '}')
}

func terminate(reason string) []byte { return fmt.Appendf(nil, "+TERM %s", reason) }
