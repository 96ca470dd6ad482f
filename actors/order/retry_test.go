package order

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	"github.com/orderly-engine/orderly/messages"
)

func TestRetryDelay(t *testing.T) {
	const hold = 10 * time.Second
	slow := &messages.Retry{Initial: durationpb.New(time.Minute), Max: durationpb.New(time.Hour), Attempts: 3}
	for name, test := range map[string]struct {
		failure
		retry *messages.Retry
		delay time.Duration
		again bool
	}{
		"first failure, defaults": {failure: failure{kind: messages.Transient, consecutive: 1}, delay: 50 * time.Millisecond, again: true},
		"third failure":           {failure: failure{kind: messages.Transient, consecutive: 3}, delay: 200 * time.Millisecond, again: true},
		"beyond hold":             {failure: failure{kind: messages.Transient, consecutive: 9}, delay: 12800 * time.Millisecond, again: true},
		"attempts spent":          {failure: failure{kind: messages.Transient, consecutive: 10}},
		"the step's own retry":    {failure: failure{kind: messages.Transient, consecutive: 2}, retry: slow, delay: time.Minute, again: true},
		"the step's own attempts": {failure: failure{kind: messages.Transient, consecutive: 3}, retry: slow},
		"empty retry":             {failure: failure{kind: messages.Transient, consecutive: 1}, retry: &messages.Retry{}, delay: 50 * time.Millisecond, again: true},
		"Retry-After":             {failure: failure{kind: messages.Transient, consecutive: 1, retryAfter: time.Hour}, delay: time.Hour, again: true},
		"rejected":                {failure: failure{kind: messages.Rejected, consecutive: 1}},
		"poison":                  {failure: failure{kind: messages.Poison, consecutive: 1}},
		"set-up":                  {failure: failure{kind: messages.Setup, consecutive: 2, retryAfter: time.Hour}, retry: slow, delay: time.Hour, again: true},
		"set-up, attempts spent":  {failure: failure{kind: messages.Setup, consecutive: 3}, retry: slow},
		"unreadable":              {failure: failure{kind: messages.Unreadable, consecutive: 2}, retry: slow, delay: time.Minute, again: true},
		"unreadable again":        {failure: failure{kind: messages.Unreadable, consecutive: 2, final: true}, retry: slow},
		"first defect":            {failure: failure{kind: messages.Defect, consecutive: 1}, delay: 50 * time.Millisecond, again: true},
		"late defect":             {failure: failure{kind: messages.Defect, consecutive: 2}, retry: slow, delay: hold, again: true},
		"last defect":             {failure: failure{kind: messages.Defect, consecutive: 10}},
		"unknown kind":            {failure: failure{kind: messages.FailureKind(99), consecutive: 10}},
	} {
		t.Run(name, func(t *testing.T) {
			delay, again := test.retryDelay(test.retry, Env{Hold: hold, Jitter: 0.5})
			if delay != test.delay || again != test.again {
				t.Errorf("delay %s, again %t: want %s, %t", delay, again, test.delay, test.again)
			}
		})
	}
}

func TestRetryDelayIsAtLeastRetryAfter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := failure{kind: messages.Transient, consecutive: rapid.IntRange(1, 9).Draw(t, "failed")}
		f.retryAfter = time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "retry after"))
		if delay, _ := f.retryDelay(nil, Env{Hold: time.Second, Jitter: rand.Float64()}); delay < f.retryAfter {
			t.Fatalf("delay %s, the service asked for %s", delay, f.retryAfter)
		}
	})
}

func TestRetryDelayStaysBelowItsCap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ceiling := time.Duration(rapid.Int64Range(1, math.MaxInt64).Draw(t, "max"))
		retry := &messages.Retry{
			Initial: durationpb.New(time.Duration(rapid.Int64Range(1, math.MaxInt64).Draw(t, "initial"))),
			Max:     durationpb.New(ceiling), Attempts: math.MaxInt32,
		}
		f := failure{
			kind:        rapid.SampledFrom([]messages.FailureKind{messages.Transient, messages.Defect}).Draw(t, "kind"),
			consecutive: rapid.IntRange(1, 1_000_000).Draw(t, "failed"),
		}
		e := Env{Hold: time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "hold")), Jitter: rapid.Float64Range(0, math.Nextafter(1, 0)).Draw(t, "jitter")}
		if delay, again := f.retryDelay(retry, e); !again || delay < 0 || delay > ceiling || f.kind == messages.Defect && delay > e.Hold {
			t.Fatalf("delay %s, again %t: want 0 to %s, and a defect's within %s", delay, again, ceiling, e.Hold)
		}
	})
}
