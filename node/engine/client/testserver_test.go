package client_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/engine/client"
	"github.com/orderly-engine/orderly/node/timeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, natstest.IgnoreServerGoroutines()...) }

// testServer is a server with the streams, to which the test writes the messages of a node, and a client.
type testServer struct {
	*testing.T
	server *natstest.Server
	js     jetstream.JetStream
	client *client.Client
	// number and sequence of the latest entry of order o-1.
	number uint32
	last   uint64
}

func newTestServer(t *testing.T) *testServer {
	t.Helper()
	s := natstest.Start(t, natstest.SyncAlways)
	w := &testServer{T: t, server: s, js: s.JetStream()}
	w.must(ingress.EnsureStreams(t.Context(), w.js, ingress.Streams{}))
	var err error
	w.client, err = client.New(w.js.Conn())
	w.must(err)
	t.Cleanup(w.client.Close)
	return w
}

func (w *testServer) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *testServer) stream(name string) jetstream.Stream {
	w.Helper()
	s, err := w.js.Stream(w.Context(), name)
	w.must(err)
	return s
}

// publishCreated stores a message that creates the order.
func (w *testServer) publishCreated() uint64 {
	w.Helper()
	ack, err := w.js.Publish(w.Context(), messages.SubjectOrder+"o-1", []byte("{}"))
	w.must(err)
	return ack.Sequence
}

// append journals the next entry of order o-1, as soon as the server is reachable.
func (w *testServer) append(events ...*messages.Event) {
	w.Helper()
	w.number++
	body, err := proto.Marshal(&messages.JournalEntry{OrderId: "o-1", Number: w.number, Previous: w.last, Time: timestamppb.Now(), Node: "n", Events: events})
	w.must(err)
	natstest.Eventually(w, "the entry is stored", func() bool {
		ctx, cancel := context.WithTimeout(w.Context(), 500*time.Millisecond)
		defer cancel()
		ack, err := w.js.PublishMsg(ctx, &nats.Msg{Subject: messages.SubjectEvent + "o-1", Data: body, Header: nats.Header{
			messages.HeaderEvent: {"x"}, messages.HeaderExpected: {fmt.Sprint(w.last)},
		}}, jetstream.WithMsgID(fmt.Sprint("entry-", w.number)))
		if err == nil {
			w.last = ack.Sequence
		}
		return err == nil
	})
}

// appendKinds journals an entry with these kinds in its header. Its event is the end of the order, if the last kind is one.
func (w *testServer) appendKinds(id, kinds string) {
	w.Helper()
	e := &messages.JournalEntry{OrderId: id, Number: 1}
	m, err := w.stream(messages.StreamEvents).GetLastMsgForSubject(w.Context(), messages.SubjectEvent+id)
	if err == nil {
		before := &messages.JournalEntry{}
		w.must(proto.Unmarshal(m.Data, before))
		e.Number, e.Previous = before.Number+1, m.Sequence
	}
	if strings.HasSuffix(kinds, messages.KindCompleted) {
		e.Events = done()[1:]
	}
	body, err := proto.Marshal(e)
	w.must(err)
	_, err = w.js.PublishMsg(w.Context(), &nats.Msg{Subject: messages.SubjectEvent + id, Data: body, Header: nats.Header{
		messages.HeaderEvent: {kinds}, messages.HeaderExpected: {fmt.Sprint(e.Previous)},
	}})
	w.must(err)
}

func accepted() *messages.Event {
	return &messages.Event{Kind: &messages.Event_Accepted{Accepted: &messages.OrderAccepted{
		Order: &messages.OrderCreated{OrderId: "o-1"}, Plan: &messages.Plan{Name: "test", Version: 1, Steps: []*messages.Step{{Name: "s"}}},
		Driver: &messages.Source{Stream: messages.StreamOrders, Sequence: 1}, Incarnation: "i",
	}}}
}

// signalled is an event that can occur any number of times.
func signalled(seq uint64) *messages.Event {
	return &messages.Event{Kind: &messages.Event_Signalled{Signalled: &messages.Signalled{Source: &messages.Source{Stream: messages.StreamOrders, Sequence: seq}, Name: "x"}}}
}

func done() []*messages.Event {
	return []*messages.Event{
		{Kind: &messages.Event_StepCompleted{StepCompleted: &messages.StepCompleted{Step: "s"}}},
		{Kind: &messages.Event_Completed{Completed: &messages.OrderCompleted{}}},
	}
}

// follow follows the order in the background.
func (w *testServer) follow(ctx context.Context, after uint64) (events <-chan timeline.Event, ended <-chan error) {
	yielded, end := make(chan timeline.Event, 1000), make(chan error, 1)
	go func() {
		end <- w.client.FollowFrom(ctx, "o-1", after, func(all []timeline.Event) error {
			for _, e := range all {
				yielded <- e
			}
			return nil
		})
		close(yielded)
	}()
	return yielded, end
}

func (w *testServer) next(events <-chan timeline.Event) timeline.Event {
	w.Helper()
	return natstest.Receive(w, events, "the next event")
}

// untilConsumers waits until the journal has n consumers. It gives up before the server removes unused ones by itself.
func (w *testServer) untilConsumers(n int) {
	w.Helper()
	for deadline := time.Now().Add(natstest.Patience / 2); ; <-time.After(5 * time.Millisecond) {
		have := w.stream(messages.StreamEvents).CachedInfo().State.Consumers
		if have == n {
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("the journal has %d consumers, want %d", have, n)
		}
	}
}
