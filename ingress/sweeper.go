package ingress

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
)

// sweepPause is how long settled messages lie in the inbox, as long as no earlier one is open.
const sweepPause = 250 * time.Millisecond

// sweeper removes settled messages from the inbox. Everything up to the consumer's acknowledgement floor is settled, and
// no message above it is ever taken for settled, so that this is safe at any time and on any number of nodes at once. What
// is settled above the floor is removed when the floor has passed it. Until then the journal knows the message, or it
// creates an order that exists: whoever looks for open messages minds neither.
type sweeper struct {
	js jetstream.JetStream
	// stream is opened by the first sweep.
	stream jetstream.Stream
	// settled is the highest sequence this node has settled, swept the floor of the last sweep.
	settled atomic.Uint64
	swept   uint64
}

// note takes down that a message is settled.
func (s *sweeper) note(r *receipt) {
	if r.Stream == messages.StreamOrders {
		s.floor(r.Sequence)
	}
}

// floor has everything up to seq removed as soon as all of it is settled.
func (s *sweeper) floor(seq uint64) {
	for high := s.settled.Load(); high < seq && !s.settled.CompareAndSwap(high, seq); {
		high = s.settled.Load()
	}
}

// keepSwept sweeps until ctx ends, while there is something to remove.
func (i *Inbox) keepSwept(ctx context.Context) {
	ticker := time.NewTicker(sweepPause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if i.sweeper.settled.Load() <= i.sweeper.swept {
			continue
		}
		if err := i.sweeper.sweep(ctx); err != nil && ctx.Err() == nil {
			i.log.Debug("settled messages not removed", "error", err)
		}
	}
}

// sweep removes what is settled by now.
func (s *sweeper) sweep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	consumer, err := s.js.Consumer(ctx, messages.StreamOrders, messages.Consumer)
	if err != nil {
		return fmt.Errorf("sweep stream %s: %w", messages.StreamOrders, err)
	}
	floor := consumer.CachedInfo().AckFloor.Stream
	if floor <= s.swept {
		return nil
	}
	if s.stream == nil {
		if s.stream, err = s.js.Stream(ctx, messages.StreamOrders); err != nil {
			return fmt.Errorf("sweep stream %s: %w", messages.StreamOrders, err)
		}
	}
	if err := s.stream.Purge(ctx, jetstream.WithPurgeSequence(floor+1)); err != nil {
		return fmt.Errorf("sweep stream %s: %w", messages.StreamOrders, err)
	}
	s.swept = floor
	return nil
}
