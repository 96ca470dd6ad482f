package ingress

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/failpoint"
	"github.com/orderly-engine/orderly/messages/natsclient"
)

// fullDelay is the redelivery delay of what arrives while Config.Memory is full: requests were sent before it was.
const fullDelay = 500 * time.Millisecond

// receive handles one message. It is called on the goroutines of the subscriptions.
func (i *Inbox) receive(p *puller, s *natsclient.PullSession, m *nats.Msg) {
	meta, err := m.Metadata()
	if err != nil {
		i.log.Error("message ignored", "stream", p.stream, "subject", m.Subject, "reply", m.Reply, "error", err)
		p.release()
		return
	}
	if meta.NumDelivered > 1 {
		i.suspendPurge(i.cfg.AckWait)
	}
	if i.cfg.Memory.Full() {
		i.suspendPurge(fullDelay + i.cfg.AckWait)
		_ = i.nc.Publish(m.Reply, natsclient.NakAfter(fullDelay)) // if it fails, the message is redelivered later
		p.release()
		return
	}
	now := time.Now()
	r := &heldDelivery{inbox: i, puller: p, reconnects: s.Reconnects, replyTo: m.Reply, size: m.Size(), extendedAt: now.Sub(i.start)}
	r.Delivery = delivery.Delivery{
		Stream: p.stream, Sequence: meta.Sequence.Stream, Deliveries: meta.NumDelivered, Stored: meta.Timestamp, Received: now,
		Unreceivable: max(i.cfg.Clock.ServerTime(s.Opened).Sub(meta.Timestamp), 0), Incarnation: newIncarnation(), Settler: r,
	}
	r.weigh(deliveryWeight + 2*r.size)
	i.inflight.add(r)
	failpoint.Pass(failpoint.Delivered)
	defer i.recoverPanic(r)
	if rejected := decode(&r.Delivery, m); rejected.reason != "" {
		i.instruments.delivered("")
		if r.claim() {
			r.settle(delivery.Dead(rejected.reason), rejected.class)
		}
		return
	}
	i.instruments.delivered(r.Type)
	r.weigh(itemWeight * len(r.Created.GetItems()))
	if r.Type == messages.TypeWake {
		failpoint.Pass(failpoint.Woken)
	}
	i.deliver(&r.Delivery)
}

// recoverPanic makes a message a dead letter whose handling panics.
func (i *Inbox) recoverPanic(r *heldDelivery) {
	cause := recover()
	if cause == nil {
		return
	}
	i.log.Error("message handling panicked", "order_id", r.OrderID, "stream", r.Stream, "sequence", r.Sequence,
		"error", fmt.Sprint(cause), "stack", string(debug.Stack()))
	if r.claim() {
		r.settle(delivery.Dead(fmt.Sprintf("poison: %v", cause)), classPoison)
	}
}
