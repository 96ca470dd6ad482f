package client

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/timeline"
)

// UntilReconnect is untilReconnect.
var UntilReconnect = untilReconnect

// MaxInboxReads is maxInboxReads.
const MaxInboxReads = maxInboxReads

// Listen follows order o-1 over one simulated consumer, whose methods are next and behind.
func Listen(
	ctx context.Context, next func(context.Context) (jetstream.Msg, error), behind func(context.Context) (bool, error), yield func([]timeline.Event) error,
) error {
	f := &follower{id: "o-1", idleTimeout: minIdleTimeout, yield: yield, chain: journal.NewChain("o-1")}
	return f.listen(ctx, next, behind)
}

// NewWatch returns a Watch without a journal. It must not be open for a lookupInterval.
func NewWatch() *Watch {
	return &Watch{open: map[messages.OrderID]time.Time{}, ended: map[order.Status]int{}, empty: make(chan struct{})}
}

// Record is record.
func (w *Watch) Record(id messages.OrderID, kinds string) { w.record(id, kinds) }
