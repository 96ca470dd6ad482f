package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/audit"
	"github.com/orderly-engine/orderly/node/engine"
)

// poison publishes a message about an order of no concern, with and without a message id, whose reply subject is that of a
// stream of the engine: JetStream stores its acknowledgement there, with the server's rights.
func (s *server) poison(subject string) {
	s.t.Helper()
	stored := s.subjectCount(subject)
	for i, id := range []string{"", fmt.Sprint("id-", s.stored(messages.StreamEvents), subject)} {
		m := &nats.Msg{Subject: "ORDER.poison", Reply: subject, Data: []byte("{}")}
		if id != "" {
			m.Header = nats.Header{nats.MsgIdHdr: {id}}
		}
		if err := s.js.Conn().PublishMsg(m); err != nil {
			s.t.Fatal(err)
		}
		if strings.HasPrefix(subject, messages.SubjectEvent) {
			natstest.Eventually(s.t, "the acknowledgement is stored on "+subject, func() bool { return s.subjectCount(subject) > stored+uint64(i) })
		}
	}
}

func (s *server) entriesOf(id messages.OrderID) []journal.Entry {
	s.t.Helper()
	entries, _ := s.history(id)
	return entries
}

// subjectCount counts the messages of the journal on a subject.
func (s *server) subjectCount(subject string) uint64 {
	s.t.Helper()
	stream, err := s.js.Stream(s.t.Context(), messages.StreamEvents)
	if err != nil {
		s.t.Fatal(err)
	}
	info, err := stream.Info(s.t.Context(), jetstream.WithSubjectFilter(subject))
	if err != nil {
		s.t.Fatal(err)
	}
	return info.State.Subjects[subject]
}

// TestReplySubjectsHarmNoOrder: whoever may publish an order can write to every stream of the engine through its reply subject:
// before an order, while it runs, and after its end. All orders complete, the node stays up, and starts again with the next
// version of its plan.
func TestReplySubjectsHarmNoOrder(t *testing.T) {
	s := newServer(t)
	first := s.start(sim("sim:"), engine.Config{})
	const orders = 20 // more than the failures that once stopped a node
	victim := func(i int) string { return fmt.Sprint("victim-", i) }
	everywhere := func(id string) {
		s.poison(messages.SubjectEvent + id)
		s.poison(messages.SubjectDead + id)
		s.poison(messages.SubjectTimer + id)
		s.poison(messages.SubjectWake + id)
		s.poison(messages.SubjectOrder + id)
	}
	ends := func(i int) {
		t.Helper()
		natstest.Eventually(t, "order "+victim(i)+" completes", func() bool {
			_, kinds := s.history(messages.OrderID(victim(i)))
			return slices.Contains(kinds, messages.KindCompleted)
		})
	}
	for i := range orders {
		everywhere(victim(i))
	}
	for i := range orders {
		s.publish(created(victim(i)))
	}
	for i := range orders {
		ends(i)
		s.poison(messages.SubjectEvent + victim(i))
		s.publish(created(victim(i))) // it reads the order again
	}
	s.poison("ORDER_PLAN.sim.2")
	natstest.Eventually(t, "no message about a victim is left", func() bool { return s.stored(messages.StreamOrders) == 0 })
	first.stop()
	if err := first.wait(t); err != nil {
		t.Fatal(err)
	}
	next := plan.Sim("sim:")
	next.Version = 2
	s.start(engine.PlanFromProto(next), engine.Config{})
	s.publish(created("last"))
	natstest.Eventually(t, "an order completes under the next version", func() bool {
		entries := s.entriesOf("last")
		return len(entries) == 5 && entries[0].Entry.GetEvents()[0].GetAccepted().GetPlan().GetVersion() == 2
	})
	for i := range orders {
		if entries := s.entriesOf(messages.OrderID(victim(i))); len(entries) != 5 {
			t.Errorf("order %s has %d entries, want 5", victim(i), len(entries))
		}
	}
	r, err := audit.Read(t.Context(), s.js)
	if err != nil || !r.Balanced() || r.ForeignCount == 0 {
		t.Errorf("report %+v, error %v", r, err)
	}
}

// TestReplySubjectsWhileAnOrderRuns: the acknowledgements arrive between the entries of a running order.
func TestReplySubjectsWhileAnOrderRuns(t *testing.T) {
	s := newServer(t)
	s.start(sim("sim:?latency=50ms"), engine.Config{})
	s.publish(created("o-1"))
	for len(s.entriesOf("o-1")) < 5 {
		s.poison(messages.SubjectEvent + "o-1")
	}
	for i, e := range s.entriesOf("o-1") {
		if e.Entry.GetNumber() != uint32(i+1) {
			t.Errorf("entry %d has number %d", i+1, e.Entry.GetNumber())
		}
	}
	if n := s.subjectCount(messages.SubjectEvent + "o-1"); n < 7 {
		t.Errorf("%d messages on the order's subject: none is foreign", n)
	}
	natstest.Eventually(t, "the report balances", func() bool {
		r, err := audit.Read(t.Context(), s.js)
		return err == nil && r.Balanced() && r.Orders.Completed == 1
	})
}
