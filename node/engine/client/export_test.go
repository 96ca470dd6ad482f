package client

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/node/timeline"
)

// UntilReconnect is untilReconnect.
var UntilReconnect = untilReconnect

// Listen follows an order over one feed, which next and behind stand in for.
func Listen(
	ctx context.Context, next func(context.Context) (jetstream.Msg, error), behind func(context.Context) (bool, error), yield func([]timeline.Event) error,
) error {
	f := &follower{id: "o-1", silence: silence, yield: yield}
	return f.listen(ctx, next, behind)
}

// MaxLooked is maxLooked.
const MaxLooked = maxLooked
