package supervision

import (
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/orderly-engine/orderly/messages"
)

// guard stands before an order actor. It types what the actor panics with, while the stack is still there, and keeps a
// panic in its last messages from leaving it half stopped for ever: protoactor would neither end nor report it.
type guard struct {
	order actor.Actor
	log   *slog.Logger
	// down: the actor has failed; it hears only of its end. A message may slip in before its mailbox is suspended.
	down bool
}

func (g *guard) Receive(ctx actor.Context) {
	if g.down && !last(ctx.Message()) {
		return
	}
	defer func() {
		if r := recover(); r != nil {
			g.failed(ctx, r)
		}
	}()
	g.order.Receive(ctx)
}

func (g *guard) failed(ctx actor.Context, reason any) {
	f := messages.AsFailure(reason)
	if last(ctx.Message()) {
		g.log.Error("order actor panicked while it stopped", keyError, f, keyStack, string(debug.Stack()))
		return
	}
	g.down = true
	if f.Kind == messages.Defect {
		f = &messages.Failure{Kind: messages.Defect, Err: &panicked{f.Err, debug.Stack()}}
	}
	panic(f)
}

// last reports whether the message is one of those an actor ends with.
func last(message any) bool {
	switch message.(type) {
	case *actor.Stopping, *actor.Stopped:
		return true
	}
	return false
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
