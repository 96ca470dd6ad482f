package ingress

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// clearLeftovers removes the messages that a consumer has settled and its stream still stores. A server that dies or
// stops between the two halves of an acknowledgement leaves such a message behind, and neither delivers nor removes it
// ever after: it would hold back later messages of its order for good, as an earlier one that nobody has taken in.
//
// Everything up to the consumer's floor is settled, and the floor never moves back, so that this is safe at any time
// and on any number of nodes at once.
func (i *Inbox) clearLeftovers(ctx context.Context, consumer jetstream.Consumer, subjects string) error {
	info := consumer.CachedInfo()
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
