package engine_test

import (
	"context"
	"testing"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/engine"
)

// BenchmarkFunction is one step call of a function, from the gateway to its reply.
func BenchmarkFunction(b *testing.B) {
	type parcel struct{ Shelf int }
	for name, do := range map[string]engine.Target{
		"nothing": engine.Function(nothing),
		"result":  engine.Function(func(context.Context, *engine.Call) (any, error) { return parcel{7}, nil }),
		"typed": engine.Typed(func(_ context.Context, _ *engine.Call, in struct{ Wrap parcel }) (parcel, error) {
			return in.Wrap, nil
		}),
	} {
		b.Run(name, func(b *testing.B) {
			p, functions, err := engine.Plan{Name: "gift", Version: 1, Steps: []engine.Step{
				{Name: "wrap", Do: engine.Function(nothing)}, {Name: "send", Do: do},
			}}.Build(nil)
			if err != nil {
				b.Fatal(err)
			}
			set := gateway.New(nil, gateway.Config{Functions: functions})
			defer set.Close()
			wrapped, err := messages.NewJSON(parcel{7})
			if err != nil {
				b.Fatal(err)
			}
			c := &gateway.Call{Step: p.Steps[1], Direction: messages.Do, Request: &messages.StepRequest{
				OrderId: "o-1", Step: "send", Direction: "do", IdempotencyKey: "o-1/send/do",
				Order: gift("o-1", "c-7").Message(), Results: map[string]string{"wrap": wrapped},
			}}
			done := make(chan struct{})
			b.ReportAllocs()
			for b.Loop() {
				set.Do(c, func(_ *messages.StepReply, err error) {
					if err != nil {
						b.Error(err)
					}
					done <- struct{}{}
				})
				<-done
			}
		})
	}
}
