package supervision

import (
	"testing"
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/backoff"
	"github.com/orderly-engine/orderly/messages/delivery"
)

func TestDecide(t *testing.T) {
	b := backoff.Exponential{Initial: time.Second, Max: 10 * time.Second}
	for _, c := range []struct {
		name  string
		f     delivery.Failure
		r     record
		want  verb
		delay time.Duration
	}{
		{"transient", delivery.Failure{Kind: messages.Transient, RetryAfter: time.Minute}, record{}, restart, time.Minute},
		{"transient after give-up", delivery.Failure{Kind: messages.Transient, RetryAfter: time.Minute}, record{gaveUp: true, overdrawn: true}, restart, time.Minute},
		{"transient, negative delay", delivery.Failure{Kind: messages.Transient, RetryAfter: -1}, record{}, restart, 0},
		{"infrastructure", delivery.Failure{Kind: messages.Infrastructure}, record{failures: 1}, restart, 500 * time.Millisecond},
		{"infrastructure for long", delivery.Failure{Kind: messages.Infrastructure}, record{failures: 1 << 40, overdrawn: true, gaveUp: true}, restart, 5 * time.Second},
		{"defect", delivery.Failure{Kind: messages.Defect}, record{failures: 3}, restart, 2 * time.Second},
		{"defect beyond budget", delivery.Failure{Kind: messages.Defect}, record{failures: 3, overdrawn: true}, giveUp, 2 * time.Second},
		{"defect when given up", delivery.Failure{Kind: messages.Defect}, record{failures: 3, overdrawn: true, gaveUp: true}, rest, time.Hour},
		{"rejected is a defect here", delivery.Failure{Kind: messages.Rejected}, record{failures: 1}, restart, 500 * time.Millisecond},
		{"no kind is a defect", delivery.Failure{}, record{failures: 1, overdrawn: true}, giveUp, 500 * time.Millisecond},
		{"poison", delivery.Failure{Kind: messages.Poison}, record{overdrawn: true, gaveUp: true}, bury, 0},
		{"fenced", delivery.Failure{Kind: messages.Fenced}, record{overdrawn: true, gaveUp: true}, letGo, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			what, delay := decide(&c.f, c.r, b, time.Hour, func() float64 { return 0.5 })
			if what != c.want || delay != c.delay {
				t.Fatalf("got %d after %s, want %d after %s", what, delay, c.want, c.delay)
			}
		})
	}
}
