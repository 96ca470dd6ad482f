package actors_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/actors"
	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
)

func TestPendingParksThenSchedulesThenAcknowledges(t *testing.T) {
	s := newFixture(t)
	s.steps.plan["pay/do"] = []answer{{reply: reply("pending")}}
	s.deliver(newDelivery(messages.TypeCreated, 1, 1))
	s.await(t, "settle 1 done")
	lines := s.all()
	if want := []string{"append step_pending,parked", "schedule 3", "settle 1 done"}; !slices.Equal(lines[len(lines)-3:], want) {
		t.Fatalf("got\n%s\nwant at the end\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	s.deliver(newDelivery(messages.TypeSignal, 2, 1))
	s.await(t, "settle 2 done")
	if got, want := s.memory.kinds(id), "accepted step_completed step_pending,parked signalled,resumed step_completed step_completed,completed"; got != want {
		t.Errorf("journal %q, want %q", got, want)
	}
}

func TestWakeNeedsNoRead(t *testing.T) {
	for name, c := range map[string]struct {
		// harm damages the timer's snapshot.
		harm func(*messages.Timer)
		// signalled: a signal that the order does not wait for arrives before the timer fires.
		signalled bool
		// remembered: the actor that parked the order still exists.
		remembered    bool
		reads, fenced int
	}{
		"unchanged":                         {},
		"nothing, remembered":               {harm: func(t *messages.Timer) { t.Snapshot = nil }, remembered: true},
		"nothing, signalled":                {harm: func(t *messages.Timer) { t.Snapshot = nil }, remembered: true, signalled: true},
		"a signal arrived before the timer": {signalled: true, reads: 1, fenced: 1},
		"of another order": {harm: func(t *messages.Timer) {
			n := journal.DecodeSnapshot(t.Snapshot)
			n.OrderId = "o-2"
			t.Snapshot = journal.EncodeSnapshot(n)
		}, reads: 1},
		"of another park": {harm: func(t *messages.Timer) {
			n := journal.DecodeSnapshot(t.Snapshot)
			n.State.Park--
			t.Snapshot = journal.EncodeSnapshot(n)
		}, reads: 1},
		"not due": {harm: func(t *messages.Timer) {
			n := journal.DecodeSnapshot(t.Snapshot)
			n.State.Parked.Until = timestamppb.New(time.Now().Add(time.Hour))
			t.Snapshot = journal.EncodeSnapshot(n)
		}, reads: 1},
		"nothing":  {harm: func(t *messages.Timer) { t.Snapshot = nil }, reads: 1},
		"nonsense": {harm: func(t *messages.Timer) { t.Snapshot = []byte("nonsense") }, reads: 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t, func(c *actors.Config) { c.Hold = -1 })
			s.steps.plan["pay/do"] = []answer{{err: errDownstream}}
			s.deliver(newDelivery(messages.TypeCreated, 1, 1))
			s.await(t, "settle 1 done")
			timer := s.timers.latest
			if c.harm != nil {
				c.harm(&timer)
			}
			end := "resumed step_completed step_completed,completed"
			if c.signalled {
				end = "signalled " + end
				s.deliver(newDelivery(messages.TypeSignal, 2, 1))
				s.await(t, "settle 2 done")
			}
			before := s.memory.readSoFar()
			wake := newDelivery(messages.TypeWake, 3, 1)
			wake.Stream, wake.Park, wake.Snapshot = messages.StreamTimers, timer.Park, timer.Snapshot
			if !c.remembered {
				s.forget()
			}
			s.deliver(wake)
			s.await(t, "settle 3 done")
			if got, want := s.memory.kinds(id), "accepted step_completed step_failed,parked "+end; got != want {
				t.Errorf("journal %q, want %q", got, want)
			}
			if reads := s.memory.readSoFar() - before; reads != c.reads || s.memory.fenced != c.fenced {
				t.Errorf("%d reads, %d appends fenced: want %d and %d", reads, s.memory.fenced, c.reads, c.fenced)
			}
		})
	}
}
