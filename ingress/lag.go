package ingress

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
)

// pollLag measures the lag of the inbox and the server's clock every PollInterval, and purges acknowledged messages that are still stored.
func (i *Inbox) pollLag(ctx context.Context) {
	ticker := time.NewTicker(i.cfg.PollInterval)
	defer ticker.Stop()
	for {
		if err := i.measureLag(ctx); err != nil && ctx.Err() == nil {
			i.log.Debug("inbox lag not measured", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (i *Inbox) measureLag(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	orders, err := i.js.Consumer(ctx, messages.StreamOrders, messages.Consumer)
	if err != nil {
		return err
	}
	i.instruments.lagOrders.Store(int64(orders.CachedInfo().NumPending))
	wakes, err := i.js.Consumer(ctx, messages.StreamTimers, messages.Consumer)
	if err != nil {
		return err
	}
	i.instruments.lagWakes.Store(int64(wakes.CachedInfo().NumPending))
	inbox, err := i.cfg.Clock.inboxInfo(ctx, i.js)
	if err != nil {
		return err
	}
	i.instruments.oldest.Store(int64(oldestAge(inbox)))
	if err := i.purgeAcked(ctx, orders, messages.SubjectOrder+"*"); err != nil {
		return err
	}
	return i.purgeAcked(ctx, wakes, messages.SubjectWake+"*")
}

// oldestAge is the age of the first message by the server's clock; 0 if the stream is empty.
func oldestAge(info *jetstream.StreamInfo) time.Duration {
	if info.State.Msgs == 0 {
		return 0
	}
	return max(0, info.TimeStamp.Sub(info.State.FirstTime))
}

// redeliveringInterval is the time between two looks for messages that are delivered again.
const redeliveringInterval = time.Second

// pollRedelivering finds out at intervals whether any node was delivered a message about an order again.
func (i *Inbox) pollRedelivering(ctx context.Context) {
	ticker := time.NewTicker(redeliveringInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := i.measureRedelivering(ctx); err != nil && ctx.Err() == nil {
			i.log.Debug("redelivered messages not counted", "error", err)
		}
	}
}

func (i *Inbox) measureRedelivering(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	orders, err := i.js.Consumer(ctx, messages.StreamOrders, messages.Consumer)
	if err != nil {
		return err
	}
	i.redelivering.Store(orders.CachedInfo().NumRedelivered > 0)
	return nil
}

// Redelivering reports whether a second ago, on any node, there were unsettled messages about orders that had been delivered
// more than once.
func (i *Inbox) Redelivering() bool { return i.redelivering.Load() }
