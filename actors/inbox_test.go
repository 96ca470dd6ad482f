package actors_test

import (
	"strings"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// neverCalled is the journal of an order that was cancelled before anything could be called.
const neverCalled = "accepted,cancel_requested,cancelled"

// A cancel that precedes its order ends it before anything is called.
func TestCancelPrecedesItsOrder(t *testing.T) {
	s := newFixture(t)
	cancel, created := newDelivery(messages.TypeCancel, 1, 1), newDelivery(messages.TypeCreated, 2, 1)
	s.inbox.around = []*delivery.Delivery{cancel, created}
	s.deliver(cancel)
	s.await(t, "timer set")
	s.deliver(created)
	s.await(t, "settle 1 done")
	s.await(t, "settle 2 done")
	s.expectNeverCalled(t, neverCalled)
}

// An order that is accepted late takes along what another node may hold, and what nobody has received yet.
func TestBacklogIsTakenAlong(t *testing.T) {
	for name, change := range map[string]func(*delivery.Delivery){
		"late":  func(d *delivery.Delivery) { d.Stored = d.Stored.Add(-3 * time.Second) },
		"again": func(d *delivery.Delivery) { d.Deliveries = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t)
			created := newDelivery(messages.TypeCreated, 1, 1)
			change(created)
			s.inbox.around = []*delivery.Delivery{created, newDelivery(messages.TypeCancel, 2, 0)}
			s.deliver(created)
			s.await(t, "settle 1 done")
			s.forget()
			s.deliver(newDelivery(messages.TypeCancel, 2, 1))
			s.await(t, "settle 2 done")
			s.expectNeverCalled(t, neverCalled)
		})
	}
}

// Most orders are delivered at once and alone: the inbox is not read.
func TestInboxIsNotReadForAFreshOrder(t *testing.T) {
	s := newFixture(t)
	s.deliver(newDelivery(messages.TypeCreated, 1, 1))
	s.await(t, "settle 1 done")
	if s.inbox.reads > 0 {
		t.Errorf("the inbox is read %d times", s.inbox.reads)
	}
}

// A message that no node could act on in time is not dead-lettered before its created message, which is stored, is delivered.
func TestOldMessageWaitsForTheCreatedMessageBehindIt(t *testing.T) {
	s := newFixture(t)
	s.inbox.stored, s.inbox.created = []uint64{1, 2, 3}, []uint64{3}
	retry, cancel, created := newDelivery(messages.TypeRetry, 1, 1), newDelivery(messages.TypeCancel, 2, 1), newDelivery(messages.TypeCreated, 3, 1)
	for _, d := range []*delivery.Delivery{retry, cancel, created} {
		d.Stored = time.Now().Add(-time.Hour)
	}
	s.inbox.around = []*delivery.Delivery{retry, cancel, created}
	s.deliver(retry)
	s.await(t, "timer set")
	s.deliver(cancel)
	s.awaitTimes(t, "timer set", 2)
	s.deliver(created)
	for _, line := range []string{"settle 1 done", "settle 2 done", "settle 3 done"} {
		s.await(t, line)
	}
	s.expectNeverCalled(t, "accepted,recorded,cancel_requested,cancelled")
}

// A node that begins to receive waits for the created message of what it finds.
func TestAgeBeginsWhenTheNodeReceives(t *testing.T) {
	s := newFixture(t)
	old := about("o-2", 1, 0)
	old.Stored, old.Unreceivable = time.Now().Add(-time.Hour), time.Hour
	s.deliver(old)
	s.await(t, "timer set")
}

func (s *fixture) expectNeverCalled(t *testing.T, want string) {
	t.Helper()
	if got := s.memory.kinds(id); got != want {
		t.Errorf("journal %q, want %q", got, want)
	}
	for _, line := range s.all() {
		if strings.HasPrefix(line, "call") {
			t.Errorf("%s: nothing may be called", line)
		}
	}
}
