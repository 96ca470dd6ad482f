package ingress

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages"
)

// clearLeftovers removes the wake-ups that are settled and still stored. A server that dies or stops between the two
// halves of an acknowledgement leaves such a message in a work queue, and neither delivers nor removes it ever after: its
// order would look as if it were about to wake. Like the sweeper, it goes by the consumer's floor.
func (i *Inbox) clearLeftovers(ctx context.Context, wakes jetstream.Consumer) error {
	const subjects = messages.SubjectWake + "*"
	info := wakes.CachedInfo()
	floor := info.AckFloor.Stream
	if floor == 0 {
		return nil
	}
	first, err := i.lookup.get(ctx, info.Stream, messageRequest{Seq: 1, NextFor: subjects})
	if err != nil || first == nil || first.Seq > floor {
		return err
	}
	stream, err := i.js.Stream(ctx, info.Stream)
	if err != nil {
		return fmt.Errorf("clear settled messages from stream %s: %w", info.Stream, err)
	}
	if err := stream.Purge(ctx, jetstream.WithPurgeSubject(subjects), jetstream.WithPurgeSequence(floor+1)); err != nil {
		return fmt.Errorf("clear settled messages from stream %s: %w", info.Stream, err)
	}
	i.log.Info("messages cleared that were settled before and left in the stream", "stream", info.Stream, "first", first.Seq, "floor", floor)
	return nil
}
