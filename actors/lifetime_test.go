package actors_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/actors"
	"github.com/orderly-engine/orderly/actors/directory"
	"github.com/orderly-engine/orderly/messages"
)

// TestKeyMayBeForgotten: a call that the driver before may have made longer ago than its service remembers a key is not made by
// itself, and is when a person retries it.
func TestKeyMayBeForgotten(t *testing.T) {
	d, err := directory.Parse([]byte("pay: {url: https://pay.test, key_lifetime: 72h}"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		downstreams *directory.Directory
		target      string
		away        time.Duration
		forgotten   string
	}{
		"the default, in time":  {nil, "https://pay.test/capture", 23 * time.Hour, ""},
		"the default, too late": {nil, "https://pay.test/capture", 25 * time.Hour, "https://pay.test remembers a key, 24h0m0s"},
		"its entry, in time":    {d, "pay/capture", 71 * time.Hour, ""},
		"its entry, too late":   {d, "pay/capture", 73 * time.Hour, "pay remembers a key, 72h0m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			plan := &messages.Plan{Name: "test", Version: 1, Steps: []*messages.Step{{Name: "pay", Do: test.target}}}
			var now atomic.Int64
			now.Store(time.Now().UnixNano())
			s := newFixtureOf(t, test.downstreams, func(c *actors.Config) {
				c.Plan, c.Now = plan, func() time.Time { return time.Unix(0, now.Load()) }
			})
			s.steps.plan["pay/do"] = []answer{{later: true}}
			s.deliver(newDelivery(messages.TypeCreated, 1, 1))
			s.await(t, "call pay/do #1")
			s.forget()
			now.Add(int64(test.away))
			s.deliver(newDelivery(messages.TypeCreated, 1, 2))
			s.await(t, "settle 1 done")
			if test.forgotten == "" {
				if got := s.memory.kinds(id); got != "accepted resumed step_completed,completed" {
					t.Errorf("journal %q", got)
				}
				return
			}
			entries := s.memory.History(id)
			cause := entries[len(entries)-1].Entry.Events[0].GetAttention().GetCause()
			if !strings.Contains(cause, test.forgotten) || !strings.Contains(cause, "the key may be forgotten") || s.count("call pay/do #1") != 1 {
				t.Fatalf("cause %q, want one with %q; %d calls", cause, test.forgotten, s.count("call pay/do #1"))
			}
			s.deliver(newDelivery(messages.TypeRetry, 2, 1))
			s.await(t, "settle 2 done")
			if got := s.memory.kinds(id); got != "accepted resumed attention recorded,resumed step_completed,completed" {
				t.Errorf("journal %q", got)
			}
		})
	}
}

// TestRestartTakesOver: an actor that failed has lost its call, so the next one takes over from it, and its call is in doubt.
func TestRestartTakesOver(t *testing.T) {
	s := newFixture(t)
	s.steps.plan["reserve/do"] = []answer{{later: true}, {err: denied()}}
	first := newDelivery(messages.TypeCreated, 1, 1)
	s.deliver(first)
	s.await(t, "call reserve/do #1")
	incarnation := first.Incarnation
	s.forget()
	s.deliver(first)
	s.await(t, "settle 1 done")
	if got, want := s.memory.kinds(id), "accepted resumed step_failed,attention"; got != want {
		t.Errorf("journal %q, want %q", got, want)
	}
	resumed := s.memory.History(id)[1].Entry.Events[0].GetResumed()
	if resumed.GetIncarnation() == incarnation || resumed.GetIncarnation() == "" || resumed.GetCause() != "restart" {
		t.Errorf("%v after incarnation %s", resumed, incarnation)
	}
}
