package actors_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

const undone = "accepted cancel_requested step_completed step_undone,cancelled"

// A message that precedes its order is recorded before the order's first step is called.
func TestMessagePrecedesItsOrder(t *testing.T) {
	s := newFixture(t)
	s.deliver(newDelivery(messages.TypeCancel, 1, 1))
	s.await(t, "timer set")
	s.deliver(newDelivery(messages.TypeCreated, 2, 1))
	s.await(t, "settle 1 done")
	s.await(t, "settle 2 done")
	if got := s.memory.kinds(id); got != undone {
		t.Errorf("journal %q, want %q", got, undone)
	}
}

// Stashed messages take effect in the order of the inbox.
func TestStashKeepsTheOrder(t *testing.T) {
	s := newFixture(t)
	s.inbox.stored = []uint64{1, 2, 3}
	s.inbox.created = []uint64{3}
	s.deliver(newDelivery(messages.TypeSignal, 1, 1))
	s.await(t, "timer set")
	s.deliver(newDelivery(messages.TypeCancel, 2, 1))
	s.awaitTimes(t, "timer set", 2)
	s.deliver(newDelivery(messages.TypeCreated, 3, 1))
	for seq := 1; seq <= 3; seq++ {
		s.await(t, fmt.Sprintf("settle %d done", seq))
	}
	want := "accepted signalled cancel_requested step_completed step_undone,cancelled"
	if got := s.memory.kinds(id); got != want {
		t.Errorf("journal %q, want %q", got, want)
	}
}

// Another node may accept the order: therefore the journal is read again, and the message nak'ed before there can be another
// delivery.
func TestStashedMessageOfAnotherNodesOrder(t *testing.T) {
	s := newFixture(t)
	s.deliver(newDelivery(messages.TypeCancel, 1, 1))
	s.await(t, "timer set")
	reads := s.memory.readSoFar()
	s.steps.plan["reserve/do"] = []answer{{later: true}}
	here := s.order
	s.forget()
	s.deliver(newDelivery(messages.TypeCreated, 2, 1))
	s.await(t, "call reserve/do #1")
	s.order = here
	s.fire()
	s.await(t, "settle 1 done")
	if s.memory.readSoFar() == reads {
		t.Error("the journal is not read again")
	}

	s.deliver(about("o-2", 4, time.Second*4/5))
	s.await(t, "settle 4 later(1s)")
	old := about("o-3", 5, 0)
	old.Stored = time.Now().Add(-time.Hour)
	s.forget()
	s.deliver(old)
	s.await(t, "settle 5 dead(no such order: none was created within 1m0s of this order.cancel)")
}

// Messages without an order must not fill the node.
func TestStashIsBounded(t *testing.T) {
	s := newFixture(t)
	const most = 256
	for n := range uint64(most) {
		s.forget()
		s.deliver(about(messages.OrderID(fmt.Sprintf("o-%d", n)), 10+n, 0))
		s.awaitTimes(t, "timer set", int(n)+1)
	}
	last := s.order
	s.forget()
	s.deliver(about("crowded-out", 5, 0))
	s.await(t, "settle 5 later(1s)")
	// An actor that ends makes room.
	if err := s.system.Root.StopFuture(last).Wait(); err != nil {
		t.Fatal(err)
	}
	s.forget()
	s.deliver(about("has-room", 6, 0))
	s.awaitTimes(t, "timer set", most+1)
}

// about is a cancel of that order, received that long ago.
func about(id messages.OrderID, seq uint64, ago time.Duration) *delivery.Delivery {
	d := newDelivery(messages.TypeCancel, seq, 1)
	d.OrderID, d.Received = id, time.Now().Add(-ago)
	return d
}

// The timer of a stopped actor is not logged as a dead letter.
func TestTimerOfAStoppedActor(t *testing.T) {
	s := newFixture(t)
	var logged []any
	sub := s.system.EventStream.Subscribe(func(e any) {
		if dead, ok := e.(*actor.DeadLetterEvent); ok {
			if _, quiet := dead.Message.(actor.IgnoreDeadLetterLogging); !quiet {
				logged = append(logged, dead.Message)
			}
		}
	})
	defer s.system.EventStream.Unsubscribe(sub)
	s.deliver(newDelivery(messages.TypeCancel, 1, 1))
	s.await(t, "timer set")
	if err := s.system.Root.StopFuture(s.order).Wait(); err != nil {
		t.Fatal(err)
	}
	s.fire()
	if len(logged) > 0 {
		t.Errorf("logged as dead letters: %v", logged)
	}
}
