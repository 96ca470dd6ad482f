package supervision

import (
	"context"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// deadLetterInterval is how long a goroutine of the actor system counts messages to actors that have stopped, which are
// normal here.
const deadLetterInterval = 100 * time.Millisecond

// NewSystem returns an actor system for trees, whose metrics are off and that logs to logger from warn upwards.
func NewSystem(logger *slog.Logger) *actor.ActorSystem {
	warn := slog.New(atLeastWarn{logger.Handler()})
	return actor.NewActorSystem(
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return warn }),
		actor.WithDeadLetterThrottleInterval(deadLetterInterval),
	)
}

// atLeastWarn drops what the actor system logs about each failure and each message to an actor that has stopped.
type atLeastWarn struct{ slog.Handler }

func (h atLeastWarn) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.Handler.Enabled(ctx, l)
}

func (h atLeastWarn) WithAttrs(attrs []slog.Attr) slog.Handler {
	return atLeastWarn{h.Handler.WithAttrs(attrs)}
}

func (h atLeastWarn) WithGroup(name string) slog.Handler {
	return atLeastWarn{h.Handler.WithGroup(name)}
}
