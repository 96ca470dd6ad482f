package ingress

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages/natsclient"
)

// purgeAcked removes messages that the consumer has acknowledged and the stream still stores. A server that stops between
// the two halves of an acknowledgement leaves such a message behind and never delivers or removes it. Later messages of its
// order would wait for it for ever, as for an earlier message that is not yet delivered.
//
// Everything up to the consumer's ack floor is acknowledged and the floor never moves back, so purging up to it is safe at
// any time and on any number of nodes.
func (i *Inbox) purgeAcked(ctx context.Context, consumer jetstream.Consumer, subjects string) error {
	info := consumer.CachedInfo()
	floor := info.AckFloor.Stream
	if floor == 0 {
		return nil
	}
	first, err := i.lookup.get(ctx, info.Stream, natsclient.Get{Sequence: 1, NextBySubject: subjects})
	if err != nil || first == nil || first.Sequence > floor {
		return err
	}
	stream, err := i.js.Stream(ctx, info.Stream)
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSubject(subjects), jetstream.WithPurgeSequence(floor+1))
	}
	if err != nil {
		return fmt.Errorf("purge acknowledged messages from stream %s: %w", info.Stream, err)
	}
	i.log.Info("acknowledged messages purged that a server restart had left in the stream", "stream", info.Stream,
		"first", first.Sequence, "floor", floor)
	return nil
}
