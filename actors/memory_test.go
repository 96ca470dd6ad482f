package actors_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
)

// TestWhatWasReadIsCounted: an actor counts the entries that it holds until it stops, and no reading counts twice.
func TestWhatWasReadIsCounted(t *testing.T) {
	s := newFixture(t)
	s.steps.plan["pay/do"] = []answer{{reply: reply("pending")}}
	s.deliver(newDelivery(messages.TypeCreated, 1, 1))
	s.await(t, "settle 1 done")
	if used := s.budget.Used(); used != 0 {
		t.Errorf("an order without a read, and with small entries, counts %d bytes", used)
	}
	s.forget()
	for seq := range uint64(2) {
		d := newDelivery(messages.TypeSignal, 2+seq, 1)
		d.Signal.Name = "other"
		s.deliver(d)
		s.await(t, "settle "+string('2'+rune(seq))+" done")
	}
	size := 0
	for _, e := range s.memory.History(id)[:4] { // the second read does not see its own append
		size += proto.Size(e.Entry)
	}
	if used := s.budget.Used(); used != int64(size) {
		t.Errorf("%d bytes are counted: want %d", used, size)
	}
	if err := s.system.Root.StopFuture(s.order).Wait(); err != nil {
		t.Fatal(err)
	}
	if used := s.budget.Used(); used != 0 {
		t.Errorf("%d bytes are counted after the actor stopped", used)
	}
}
