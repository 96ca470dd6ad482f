package supervision

import (
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// guard stands before an order actor. It types what the actor panics with, while the stack is still there, and keeps a
// panic in its last messages from leaving it half stopped for ever: protoactor would neither end nor report it.
type guard struct {
	order actor.Actor
	log   *slog.Logger
}

func (g *guard) Receive(ctx actor.Context) {
	defer func() {
		if r := recover(); r != nil {
			g.failed(ctx, r)
		}
	}()
	g.order.Receive(ctx)
}

func (g *guard) failed(ctx actor.Context, reason any) {
	f := delivery.AsFailure(reason)
	switch ctx.Message().(type) {
	case *actor.Stopping, *actor.Stopped:
		g.log.Error("order actor panicked while it stopped", keyError, f, keyStack, string(debug.Stack()))
		return
	}
	if f.Kind == messages.Defect {
		f = &delivery.Failure{Kind: messages.Defect, Err: &panicked{f.Err, debug.Stack()}}
	}
	panic(f)
}

// panicked is the error of a defect with where it happened. The stack goes into the log, not into the text.
type panicked struct {
	error
	stack []byte
}

func (p *panicked) Unwrap() error { return p.error }

// stillborn takes the place of an order actor whose producer failed: it fails at its start, like any other actor.
type stillborn struct{ reason any }

func (s stillborn) Receive(actor.Context) { panic(s.reason) }

// produce calls the producer of order actors; a panic there is a failure of the order, not of its supervisor.
func produce(order func() actor.Actor) (a actor.Actor) {
	defer func() {
		if r := recover(); r != nil {
			a = stillborn{r}
		}
	}()
	if a = order(); a == nil {
		return stillborn{fmt.Errorf("the producer of order actors returned nil")}
	}
	return a
}
