package supervision

import (
	"log/slog"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/orderly-engine/orderly/messages"
)

type saying struct {
	actor.Context
	message any
}

func (s saying) Message() any { return s.message }

func TestAFailedActorHearsOnlyOfItsEnd(t *testing.T) {
	var heard []any
	g := &guard{log: slog.New(slog.DiscardHandler), order: actor.ReceiveFunc(func(ctx actor.Context) {
		heard = append(heard, ctx.Message())
		if ctx.Message() == "fail" {
			panic("failed")
		}
	})}
	func() {
		defer func() {
			if f, ok := recover().(*messages.Failure); !ok || f.Kind != messages.Defect || f.Err.Error() != "panic: failed" {
				t.Fatalf("panicked with %v, want a defect that says what happened", f)
			}
		}()
		g.Receive(saying{message: "fail"})
	}()
	g.Receive(saying{message: "slipped in"})
	g.Receive(saying{message: &actor.Stopping{}})
	if len(heard) != 2 {
		t.Fatalf("heard %v, want the failing message and Stopping", heard)
	}
}
