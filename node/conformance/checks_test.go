package conformance_test

import (
	"bytes"
	"regexp"
	"strconv"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/conformance"
)

// finalChecks compares what became of the order with the line.
func (b *bench) finalChecks() {
	b.Helper()
	if got := b.view(orderID).Status; got != b.end {
		b.Errorf("the order is %s, want %s", got, b.end)
	}
	if b.events != "" {
		if got := b.kinds(orderID); !regexp.MustCompile("^(?:" + b.events + ")$").MatchString(got) {
			b.Errorf("events %q, want %q", got, b.events)
		}
	}
	b.wantEffects("hostile/do", b.hostile, b.performed)
	b.wantEffects("hostile/undo", b.hostile, b.undone)
	back := 0
	if b.end == rejected || b.end == cancelled {
		back = 1
	}
	b.wantEffects("before/do", b.good, 1)
	b.wantEffects("before/undo", b.good, back)
	if !b.last && b.line.plan == "" {
		after := 0
		if b.end == completed {
			after = 1
		}
		b.wantEffects("after/do", b.good, after)
	}
	b.wantCalls("do", b.calls)
	b.wantCalls("undo", b.undos)
	b.checkRequests()
	if b.check != nil {
		b.check(b)
	}
	if b.Failed() {
		b.Log("\n" + b.history(orderID))
	}
}

func (b *bench) wantEffects(name string, s *conformance.Service, want int) {
	b.Helper()
	if got := s.Effects(orderID + "/" + name); got != want {
		b.Errorf("%s was performed %d times, want %d", name, got, want)
	}
}

func (b *bench) wantCalls(route string, want int) {
	b.Helper()
	got := 0
	for _, c := range b.hostile.Calls() {
		if c.Route == route && c.OrderID == orderID {
			got++
		}
	}
	if want != 0 && got != max(want, 0) {
		b.Errorf("%d calls of %s, want %d", got, route, max(want, 0))
	}
}

// checkRequests: all calls under a key have the same bytes, the key is a header too, and the fencing token never becomes smaller.
func (b *bench) checkRequests() {
	b.Helper()
	first, latest := map[string]conformance.Call{}, map[string]uint64{}
	for _, c := range append(b.hostile.Calls(), b.good.Calls()...) {
		before, again := first[c.Key]
		if !again {
			first[c.Key], before = c, c
		}
		if !bytes.Equal(before.Body, c.Body) {
			b.Errorf("call %d of %s has another body:\n%s\n%s", c.Number, c.Key, clip(string(before.Body)), clip(string(c.Body)))
		}
		if c.Header.Get("Idempotency-Key") != c.Key {
			b.Errorf("call %d of %s has the key %q in its header", c.Number, c.Key, c.Header.Get("Idempotency-Key"))
		}
		if attempt, err := strconv.Atoi(c.Header.Get(messages.HeaderAttempt)); err != nil || attempt < 1 {
			b.Errorf("call %d of %s has the attempt %q in its header", c.Number, c.Key, c.Header.Get(messages.HeaderAttempt))
		}
		token, err := strconv.ParseUint(c.Header.Get(messages.HeaderFencingToken), 10, 64)
		if err != nil || token < latest[c.OrderID+c.Route] {
			b.Errorf("call %d of %s has the fencing token %q after %d", c.Number, c.Key, c.Header.Get(messages.HeaderFencingToken), latest[c.OrderID+c.Route])
		}
		latest[c.OrderID+c.Route] = token
	}
}
