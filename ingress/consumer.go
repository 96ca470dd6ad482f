package ingress

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// farewell is how long the server may take to remove a consumer that is used no more.
const farewell = 500 * time.Millisecond

// RemoveConsumer takes a reader's consumer away from the server, which else would keep it for minutes: each one makes
// every append to its stream dearer. It does so also when the context has ended. If it fails, the consumer goes later, by
// itself.
func RemoveConsumer(ctx context.Context, js jetstream.JetStream, stream string, c jetstream.Consumer) {
	if !js.Conn().IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	_ = js.DeleteConsumer(ctx, stream, c.CachedInfo().Name)
}
