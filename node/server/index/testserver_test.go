package index_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/demo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, natstest.IgnoreServerGoroutines()...) }

// testServer is a NATS server with the project's streams.
type testServer struct {
	t      testing.TB
	server *natstest.Server
	nc     *nats.Conn
	js     jetstream.JetStream
	// last is the sequence of each order's last entry.
	last map[string]uint64
}

func newTestServer(t testing.TB) *testServer {
	t.Helper()
	server := natstest.Start(t)
	js := server.JetStream()
	if err := ingress.EnsureStreams(natstest.Context(t), js, ingress.Streams{}); err != nil {
		t.Fatal(err)
	}
	return &testServer{t: t, server: server, nc: js.Conn(), js: js, last: map[string]uint64{}}
}

// append stores an entry as the journal does.
func (s *testServer) append(e *messages.JournalEntry) uint64 {
	s.t.Helper()
	if e.GetNumber() > 1 {
		e.Previous = s.last[e.GetOrderId()]
	}
	body, err := journal.Encode(nil, e)
	if err != nil {
		s.t.Fatal(err)
	}
	ack, err := s.js.PublishMsg(s.t.Context(), &nats.Msg{
		Subject: messages.SubjectEvent + e.GetOrderId(), Data: body, Header: nats.Header{messages.HeaderEvent: {journal.Kinds(e)}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.last[e.GetOrderId()] = ack.Sequence
	return ack.Sequence
}

// fill stores the journal of n orders that complete without failures, interleaved as on a busy node.
func (s *testServer) fill(n int) {
	s.t.Helper()
	stream, err := s.js.Stream(s.t.Context(), messages.StreamEvents)
	if err != nil {
		s.t.Fatal(err)
	}
	sequence := stream.CachedInfo().State.LastSeq
	p := plan.Sim("sim:")
	orders := demo.Samples(n, 1)
	for from := 0; from < n; from += 500 {
		for number := range uint32(len(p.GetSteps()) + 1) {
			for _, o := range orders[from:min(n, from+500)] {
				e := &messages.JournalEntry{OrderId: o.GetOrderId(), Number: number + 1, Previous: s.last[o.GetOrderId()], Time: timestamppb.Now(), Node: "n-1"}
				if number == 0 {
					e.Events = []*messages.Event{{Kind: &messages.Event_Accepted{Accepted: &messages.OrderAccepted{
						Order: o, Plan: p, Driver: &messages.Source{Stream: messages.StreamOrders, Sequence: 1}, Incarnation: "i-1",
					}}}}
				} else {
					e.Events = append(e.Events, &messages.Event{Kind: &messages.Event_StepCompleted{
						StepCompleted: &messages.StepCompleted{Step: p.Steps[number-1].Name, Attempt: 1},
					}})
				}
				if int(number) == len(p.GetSteps()) {
					e.Events = append(e.Events, &messages.Event{Kind: &messages.Event_Completed{Completed: &messages.OrderCompleted{}}})
				}
				body, err := journal.Encode(nil, e)
				if err != nil {
					s.t.Fatal(err)
				}
				if _, err := s.js.PublishAsync(messages.SubjectEvent+e.GetOrderId(), body); err != nil {
					s.t.Fatal(err)
				}
				sequence++
				s.last[e.GetOrderId()] = sequence
			}
		}
	}
	select {
	case <-s.js.PublishAsyncComplete():
	case <-time.After(time.Minute):
		s.t.Fatal(fmt.Errorf("the journal of %d orders is not stored", n))
	}
}
