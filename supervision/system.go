package supervision

import (
	"context"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// NewSystem returns an actor system for a Tree: its own metrics are off, and it logs to logger from warn upwards.
func NewSystem(logger *slog.Logger) *actor.ActorSystem {
	warn := slog.New(atLeastWarn{logger.Handler()})
	return actor.NewActorSystem(
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return warn }),
		// A late reply to an actor that is gone is normal here. The period bounds a goroutine of the system.
		actor.WithDeadLetterThrottleInterval(100*time.Millisecond),
	)
}

// atLeastWarn keeps the actor system's chatter (a line for each failure and late message) out of the log.
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
