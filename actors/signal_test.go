package actors_test

import (
	"fmt"
	"testing"

	"github.com/orderly-engine/orderly/messages"
)

// TestOneReadServesWhatHasArrived: the cost of a signal does not grow with the number of signals before it, and one that the order
// does not wait for calls nothing.
func TestOneReadServesWhatHasArrived(t *testing.T) {
	s := newFixture(t)
	s.steps.plan["pay/do"] = []answer{{reply: reply("pending")}}
	s.deliver(newDelivery(messages.TypeCreated, 1, 1))
	s.await(t, "settle 1 done")
	s.forget()

	const signals = 100
	s.memory.mu.Lock() // the first read waits until all have arrived
	for i := range signals {
		d := newDelivery(messages.TypeSignal, uint64(2+i), 1)
		d.Signal.Name = "other"
		s.deliver(d)
	}
	before := s.memory.reads
	s.memory.mu.Unlock()
	s.await(t, fmt.Sprintf("settle %d done", signals+1))
	if reads := s.memory.readSoFar() - before; reads > 2 {
		t.Errorf("%d reads for %d signals: want one for the first, and one for all others", reads, signals)
	}
	if n := len(s.memory.History(id)); n != 3+signals {
		t.Errorf("%d entries: want one for each signal, and nothing else", n)
	}

	s.deliver(newDelivery(messages.TypeSignal, signals+2, 1))
	s.await(t, fmt.Sprintf("settle %d done", signals+2))
}
