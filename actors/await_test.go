package actors_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/actors"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// A message whose order does not exist is redelivered ever later, and each of its deliveries reads the journal once and does not
// search the inbox.
func TestAwaitsEverLater(t *testing.T) {
	s := newFixture(t)
	for n := uint64(2); n < 6; n++ {
		s.forget()
		d := newDelivery(messages.TypeCancel, n, n)
		before := s.memory.readSoFar()
		s.deliver(d)
		s.await(t, fmt.Sprintf("settle %d later(%s)", n, time.Second<<(n-1)))
		if reads := s.memory.readSoFar() - before; reads != 1 {
			t.Errorf("delivery %d reads the journal %d times", n, reads)
		}
	}
	if n := s.inbox.searches; n > 0 {
		t.Errorf("the inbox is searched %d times", n)
	}
}

// An order that is accepted while messages wait for their orders takes along what the inbox stores about it, and no order does
// that otherwise.
func TestAcceptanceFindsWhatWaits(t *testing.T) {
	now, redelivering := new(atomic.Int64), new(atomic.Bool)
	start := time.Now()
	s := newFixture(t, func(c *actors.Config) {
		c.Now = func() time.Time { return start.Add(time.Duration(now.Load())) }
		c.Redelivering = redelivering.Load
	})
	fresh := func(seq uint64) *delivery.Delivery {
		d := newDelivery(messages.TypeCreated, seq, 1)
		d.Stored, d.Received = start.Add(time.Duration(now.Load())), start.Add(time.Duration(now.Load()))
		d.OrderID = messages.OrderID(fmt.Sprintf("o-%d", seq))
		return d
	}
	accept := func(seq uint64, reads int) {
		t.Helper()
		s.forget()
		before := s.inbox.readSoFar()
		s.deliver(fresh(seq))
		s.await(t, fmt.Sprintf("settle %d done", seq))
		if got := s.inbox.readSoFar() - before; got != reads {
			t.Errorf("order %d reads the inbox %d times, want %d", seq, got, reads)
		}
	}
	accept(2, 0)

	// A cancel of the fixture's order waits for 2 s, on this node.
	cancel := newDelivery(messages.TypeCancel, 3, 2)
	s.forget()
	s.deliver(cancel)
	s.await(t, "settle 3 later(2s)")
	accept(4, 1)
	s.inbox.around = []*delivery.Delivery{cancel}
	created := newDelivery(messages.TypeCreated, 5, 1)
	s.inbox.around = append(s.inbox.around, created)
	s.forget()
	s.deliver(created)
	s.await(t, "settle 5 done")
	if got := s.memory.kinds(id); got != neverCalled {
		t.Errorf("journal %q, want %q", got, neverCalled)
	}
	s.inbox.around = nil

	// Later none waits any more, as far as this node knows; and then it learns that some wait for another one.
	now.Store(int64(8 * time.Second))
	accept(6, 0)
	redelivering.Store(true)
	accept(7, 1)
}

// Of many messages that become too old at once, the inbox is searched for a few at a time: each must be answered soon. The others
// are redelivered.
func TestSearchesAreBounded(t *testing.T) {
	s := newFixture(t)
	s.inbox.gate = make(chan struct{})
	const most = 64
	expired := func(n int) *delivery.Delivery {
		d := about(messages.OrderID(fmt.Sprintf("o-%d", n)), uint64(10+n), 0)
		d.Stored, d.Deliveries = time.Now().Add(-time.Hour), 7
		return d
	}
	for n := range most {
		s.forget()
		s.deliver(expired(n))
		natstest.Eventually(t, "the journal is read", func() bool { return s.memory.readSoFar() > n })
	}
	s.forget()
	// The last search may still be about to begin.
	natstest.Eventually(t, "a message is not searched for", func() bool {
		s.deliver(expired(most))
		return slices.Contains(s.all(), fmt.Sprintf("settle %d later(1s)", 10+most))
	})
	close(s.inbox.gate)
	for n := range most {
		s.await(t, fmt.Sprintf("settle %d dead(no such order: none was created within 1m0s of this order.cancel)", 10+n))
	}
}
