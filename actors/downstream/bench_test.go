package downstream_test

import (
	"testing"

	"github.com/orderly-engine/orderly/actors/downstream"
	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
)

// BenchmarkSim compares a call answered in process with and without a Guard.
func BenchmarkSim(b *testing.B) {
	set := gateway.New(nil, gateway.Config{})
	defer set.Close()
	guard, err := downstream.New(set, planOf(nil), nil, downstream.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer guard.Close()
	for name, c := range map[string]struct {
		steps  downstream.Steps
		limits *messages.Limits
	}{
		"bare":    {set, nil},
		"guarded": {guard, nil},
	} {
		b.Run(name, func(b *testing.B) { run(b, c.steps, "sim:", c.limits) })
	}
}

// BenchmarkLimiter measures what a guarded call costs besides the call.
func BenchmarkLimiter(b *testing.B) {
	s := &instant{}
	for name, limits := range map[string]*messages.Limits{
		"circuit": {}, "concurrency": {Concurrency: 256}, "rate": {Concurrency: 256, Rate: 1e6},
	} {
		b.Run(name, func(b *testing.B) {
			guard := newGuard(b, s, limits, downstream.Config{})
			defer guard.Close()
			run(b, guard, "nats://stock.take", limits)
		})
	}
}

// instant replies to every call at once.
type instant struct{}

func (*instant) Do(_ *gateway.Call, done gateway.Done) { done(nil, nil) }

func run(b *testing.B, steps downstream.Steps, target string, limits *messages.Limits) {
	c := &gateway.Call{
		Step: &messages.Step{Name: "take", Do: target, Limits: limits}, Direction: messages.Do,
		Request: &messages.StepRequest{OrderId: "o-1", Step: "take"},
	}
	done := func(*messages.StepReply, error) {}
	b.ReportAllocs()
	for b.Loop() {
		steps.Do(c, done)
	}
}
