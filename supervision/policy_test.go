package supervision_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/supervision"
)

const held = 10 * time.Second

func half() float64 { return 0.5 }

func TestPolicy(t *testing.T) {
	slow := &messages.Retry{Initial: durationpb.New(time.Minute), Max: durationpb.New(time.Hour), Attempts: 3}
	for _, c := range []struct {
		name string
		kind messages.FailureKind
		h    delivery.History
		want delivery.Directive
	}{
		{"first transient failure, defaults", messages.Transient, delivery.History{Attempts: 1}, delivery.Directive{Action: delivery.ActRestart, Delay: 50 * time.Millisecond}},
		{"third transient failure", messages.Transient, delivery.History{Attempts: 3}, delivery.Directive{Action: delivery.ActRestart, Delay: 200 * time.Millisecond}},
		{"capped", messages.Transient, delivery.History{Attempts: 9}, delivery.Directive{Action: delivery.ActPark, Delay: 12800 * time.Millisecond}},
		{"attempts spent", messages.Transient, delivery.History{Attempts: 10}, delivery.Directive{Action: delivery.ActAttention}},
		{"the step's own retry", messages.Transient, delivery.History{Attempts: 2, Retry: slow}, delivery.Directive{Action: delivery.ActPark, Delay: time.Minute}},
		{"the step's own attempts", messages.Transient, delivery.History{Attempts: 3, Retry: slow}, delivery.Directive{Action: delivery.ActAttention}},
		{"empty retry", messages.Transient, delivery.History{Attempts: 1, Retry: &messages.Retry{}}, delivery.Directive{Action: delivery.ActRestart, Delay: 50 * time.Millisecond}},
		{"Retry-After", messages.Transient, delivery.History{Attempts: 1, After: held}, delivery.Directive{Action: delivery.ActRestart, Delay: held}},
		{"long Retry-After", messages.Transient, delivery.History{Attempts: 1, After: held + 1}, delivery.Directive{Action: delivery.ActPark, Delay: held + 1}},
		{"undo, transient", messages.Transient, delivery.History{Attempts: 1, Direction: messages.Undo}, delivery.Directive{Action: delivery.ActRestart, Delay: 50 * time.Millisecond}},
		{"rejected", messages.Rejected, delivery.History{Attempts: 1, Direction: messages.Do}, delivery.Directive{Action: delivery.ActCompensate}},
		{"undo rejected", messages.Rejected, delivery.History{Attempts: 1, Direction: messages.Undo}, delivery.Directive{Action: delivery.ActAttention}},
		{"poison", messages.Poison, delivery.History{Attempts: 1}, delivery.Directive{Action: delivery.ActAttention}},
		{"fenced", messages.Fenced, delivery.History{Attempts: 1}, delivery.Directive{Action: delivery.ActDrop}},
		{"first defect", messages.Defect, delivery.History{Attempts: 1}, delivery.Directive{Action: delivery.ActRestart, Delay: 50 * time.Millisecond}},
		{"last defect", messages.Defect, delivery.History{Attempts: 10}, delivery.Directive{Action: delivery.ActAttention}},
		{"infrastructure", messages.Infrastructure, delivery.History{Attempts: 1}, delivery.Directive{Action: delivery.ActRestart, Delay: 50 * time.Millisecond}},
		{"infrastructure for long", messages.Infrastructure, delivery.History{Attempts: 1000}, delivery.Directive{Action: delivery.ActRestart, Delay: held / 2}},
		{"unknown kind", messages.FailureKind(99), delivery.History{Attempts: 10}, delivery.Directive{Action: delivery.ActAttention}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := supervision.NewPolicy(held, half)(c.kind, c.h); got != c.want {
				t.Fatalf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestPolicyDelaysStayWithinTheirCap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		initial := time.Duration(rapid.Int64Range(1, math.MaxInt64).Draw(t, "initial"))
		ceiling := time.Duration(rapid.Int64Range(1, math.MaxInt64).Draw(t, "max"))
		attempts := rapid.IntRange(-1, 1_000_000).Draw(t, "attempts")
		draw := rapid.Float64Range(0, math.Nextafter(1, 0)).Draw(t, "random")
		hold := time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "hold"))
		kind := rapid.SampledFrom([]messages.FailureKind{messages.Transient, messages.Infrastructure, messages.Defect}).Draw(t, "kind")
		got := supervision.NewPolicy(hold, func() float64 { return draw })(kind, delivery.History{
			Attempts: attempts,
			Retry:    &messages.Retry{Initial: durationpb.New(initial), Max: durationpb.New(ceiling), Attempts: math.MaxInt32},
		})
		if got.Delay < 0 || got.Delay > ceiling {
			t.Fatalf("delay %s is outside 0…%s", got.Delay, ceiling)
		}
		if inMemory := got.Action == delivery.ActRestart; inMemory != (got.Delay <= hold) {
			t.Fatalf("%s is waited for in memory: %v, hold is %s", got.Delay, inMemory, hold)
		}
	})
}

func TestPolicyWaitsAtLeastAsLongAsAsked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		after := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "after"))
		got := supervision.NewPolicy(held, rand.Float64)(messages.Transient, delivery.History{Attempts: rapid.IntRange(1, 9).Draw(t, "attempts"), After: after})
		if got.Delay < after {
			t.Fatalf("delay %s, the downstream asked for %s", got.Delay, after)
		}
	})
}

func TestPolicyJitterIsFull(t *testing.T) {
	const draws = 20_000
	rnd := rand.New(rand.NewPCG(1, 2))
	policy := supervision.NewPolicy(time.Hour, rnd.Float64)
	var sum, low, high time.Duration
	low = time.Hour
	for range draws {
		d := policy(messages.Transient, delivery.History{Attempts: 6}).Delay // Cap: 3.2 s.
		sum += d
		low, high = min(low, d), max(high, d)
	}
	if mean := sum / draws; mean < 1550*time.Millisecond || mean > 1650*time.Millisecond {
		t.Fatalf("mean is %s, want about half of 3.2s", mean)
	}
	if low > 10*time.Millisecond || high < 3190*time.Millisecond {
		t.Fatalf("delays span %s to %s, want nearly 0 to 3.2s", low, high)
	}
}
