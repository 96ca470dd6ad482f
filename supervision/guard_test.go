package supervision

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

type saying struct {
	actor.Context
	message any
}

func (s saying) Message() any { return s.message }

func TestADefectSaysWhatHappenedAndKeepsTheStack(t *testing.T) {
	g := &guard{log: slog.New(slog.DiscardHandler), order: actor.ReceiveFunc(func(actor.Context) { panic("failed") })}
	defer func() {
		f, ok := recover().(*delivery.Failure)
		if !ok || f.Kind != messages.Defect || f.Err.Error() != "panic: failed" {
			t.Fatalf("panicked with %v, want a defect that says what happened", f)
		}
		var p *panicked
		if !errors.As(f, &p) || !strings.Contains(string(p.stack), "TestADefectSaysWhatHappenedAndKeepsTheStack") {
			t.Fatalf("the stack does not name the place of the panic: %+v", p)
		}
	}()
	g.Receive(saying{message: "fail"})
}

func TestATypedFailurePassesUnchanged(t *testing.T) {
	want := &delivery.Failure{Kind: messages.Infrastructure}
	g := &guard{log: slog.New(slog.DiscardHandler), order: actor.ReceiveFunc(func(actor.Context) { panic(want) })}
	defer func() {
		if got := recover(); got != want {
			t.Fatalf("panicked with %v, want %v", got, want)
		}
	}()
	g.Receive(saying{message: "fail"})
}
