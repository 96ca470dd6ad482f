package backoff_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/orderly-engine/orderly/messages/backoff"
)

func TestDelayStaysBelowItsCap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := backoff.Exponential{
			Initial: time.Duration(rapid.Int64Range(1, math.MaxInt64).Draw(t, "initial")),
			Max:     time.Duration(rapid.Int64Range(1, math.MaxInt64).Draw(t, "max")),
		}
		n := rapid.IntRange(-1, 1_000_000).Draw(t, "n")
		jitter := rapid.Float64Range(0, math.Nextafter(1, 0)).Draw(t, "jitter")
		if got := e.Delay(n, jitter); got < 0 || got > e.Max {
			t.Fatalf("delay %s, want 0 to %s", got, e.Max)
		}
	})
}

func TestJitterIsFull(t *testing.T) {
	const draws = 20_000
	rnd := rand.New(rand.NewPCG(1, 2))
	e := backoff.Exponential{Initial: 100 * time.Millisecond, Max: 30 * time.Second}
	var sum, high time.Duration
	low := time.Hour
	for range draws {
		d := e.Delay(6, rnd.Float64()) // at most 3.2 s
		sum += d
		low, high = min(low, d), max(high, d)
	}
	if mean := sum / draws; mean < 1550*time.Millisecond || mean > 1650*time.Millisecond {
		t.Errorf("mean delay %s, want about half of 3.2s", mean)
	}
	if low > 10*time.Millisecond || high < 3190*time.Millisecond {
		t.Errorf("delays from %s to %s, want nearly 0 to 3.2s", low, high)
	}
}

func TestWithDefaults(t *testing.T) {
	if got, want := (backoff.Exponential{}).WithDefaults(1, 10), (backoff.Exponential{Initial: 1, Max: 10}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, want := (backoff.Exponential{Initial: 20}).WithDefaults(1, 10), (backoff.Exponential{Initial: 20, Max: 20}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
