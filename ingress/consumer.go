package ingress

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// removeTimeout bounds the removal of a consumer.
const removeTimeout = 500 * time.Millisecond

// RemoveConsumer deletes a reader's ephemeral consumer, which the server would otherwise keep for minutes while it makes every
// append to its stream more expensive. It does so even if ctx has ended. If the deletion fails, the server removes the
// consumer later.
func RemoveConsumer(ctx context.Context, js jetstream.JetStream, stream string, c jetstream.Consumer) {
	if !js.Conn().IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	_ = js.DeleteConsumer(ctx, stream, c.CachedInfo().Name)
}
