package ingress

import (
	"context"
	"time"

	"github.com/orderly-engine/orderly/messages"
)

// pollLag asks now and then how far behind the nodes are, and clears away what is settled and still there.
func (i *Inbox) pollLag(ctx context.Context) {
	ticker := time.NewTicker(i.cfg.PollInterval)
	defer ticker.Stop()
	for {
		if err := i.measureLag(ctx); err != nil && ctx.Err() == nil {
			i.log.Debug("inbox not looked after", "error", err)
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
	stream, err := i.js.Stream(ctx, messages.StreamOrders)
	if err != nil {
		return err
	}
	age := time.Duration(0)
	if state := stream.CachedInfo().State; state.Msgs > 0 {
		age = max(0, stream.CachedInfo().TimeStamp.Sub(state.FirstTime))
	}
	i.instruments.oldest.Store(int64(age))
	if err := i.clearLeftovers(ctx, orders, messages.SubjectOrder+"*"); err != nil {
		return err
	}
	return i.clearLeftovers(ctx, wakes, messages.SubjectWake+"*")
}
