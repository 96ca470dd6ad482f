package supervision

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

type contextWith struct {
	actor.Context
	message any
}

func (c contextWith) Message() any { return c.message }

func TestAPanicBecomesADefectWithItsStack(t *testing.T) {
	g := &guard{log: slog.New(slog.DiscardHandler), order: actor.ReceiveFunc(func(actor.Context) { panic("failed") })}
	defer func() {
		f, ok := recover().(*delivery.Failure)
		if !ok || f.Kind != messages.Defect || f.Err.Error() != "panic: failed" {
			t.Fatalf("panicked with %v, want a defect with its text", f)
		}
		var p *panicked
		if !errors.As(f, &p) || !strings.Contains(p.stack, "TestAPanicBecomesADefectWithItsStack") {
			t.Fatalf("the stack does not name the place of the panic: %+v", p)
		}
	}()
	g.Receive(contextWith{message: "fail"})
}

func TestATypedFailurePassesUnchanged(t *testing.T) {
	want := &delivery.Failure{Kind: messages.Infrastructure}
	g := &guard{log: slog.New(slog.DiscardHandler), order: actor.ReceiveFunc(func(actor.Context) { panic(want) })}
	defer func() {
		if got := recover(); got != want {
			t.Fatalf("panicked with %v, want %v", got, want)
		}
	}()
	g.Receive(contextWith{message: "fail"})
}

func TestAnActorThatPanickedGetsOnlyItsEnd(t *testing.T) {
	var got []any
	g := &guard{log: slog.New(slog.DiscardHandler), order: actor.ReceiveFunc(func(ctx actor.Context) {
		got = append(got, ctx.Message())
		panic("failed")
	})}
	receive := func(message any) {
		defer func() { _ = recover() }()
		g.Receive(contextWith{message: message})
	}
	stopping, stopped := &actor.Stopping{}, &actor.Stopped{}
	for _, m := range []any{1, 2, stopping, stopped} {
		receive(m)
	}
	if want := []any{1, stopping, stopped}; !slices.Equal(got, want) {
		t.Fatalf("the actor got %v, want %v", got, want)
	}
}
