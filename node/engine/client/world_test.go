package client_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/engine/client"
	"github.com/orderly-engine/orderly/node/timeline"
)

// world is a server that can be stopped and started again on the same port and store.
type world struct {
	*testing.T
	dir    string
	port   int
	srv    *server.Server
	nc     *nats.Conn
	js     jetstream.JetStream
	orders *client.Reader
	number uint32
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, dir: t.TempDir(), port: server.RANDOM_PORT}
	w.start()
	t.Cleanup(w.stop)
	var err error
	w.nc, err = nats.Connect(w.srv.ClientURL(), nats.Timeout(patience), nats.ReconnectWait(20*time.Millisecond), nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true))
	w.must(err)
	t.Cleanup(w.nc.Close)
	w.js, err = jetstream.New(w.nc)
	w.must(err)
	w.must(ingress.EnsureStreams(t.Context(), w.js, ingress.Streams{}))
	w.orders, err = client.NewReader(w.nc)
	w.must(err)
	t.Cleanup(w.orders.Close)
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) start() {
	w.Helper()
	var err error
	w.srv, err = server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: w.port, JetStream: true, StoreDir: w.dir, NoSigs: true, NoLog: true, SyncAlways: true,
		JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 1 << 30,
	})
	w.must(err)
	w.srv.Start()
	if !w.srv.ReadyForConnections(patience) {
		w.Fatal("the server did not start")
	}
	w.port = w.srv.Addr().(*net.TCPAddr).Port
}

func (w *world) stop() { w.srv.Shutdown(); w.srv.WaitForShutdown() }

// message stores a message about the order in the inbox.
func (w *world) message() uint64 {
	w.Helper()
	ack, err := w.js.Publish(w.Context(), messages.SubjectOrder+"o-1", []byte("{}"))
	w.must(err)
	return ack.Sequence
}

// append journals an entry, as soon as the server takes it.
func (w *world) append(events ...*messages.Event) {
	w.Helper()
	w.number++
	body, err := proto.Marshal(&messages.JournalEntry{OrderId: "o-1", Number: w.number, Time: timestamppb.Now(), Node: "n", Events: events})
	w.must(err)
	deadline := time.Now().Add(patience)
	for {
		ctx, cancel := context.WithTimeout(w.Context(), 500*time.Millisecond)
		_, err := w.js.PublishMsg(ctx, &nats.Msg{Subject: messages.SubjectEvent + "o-1", Data: body}, jetstream.WithMsgID(fmt.Sprint("entry-", w.number)))
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			w.Fatal(err)
		}
	}
}

func accepted() *messages.Event {
	return &messages.Event{Kind: &messages.Event_Accepted{Accepted: &messages.OrderAccepted{
		Order: &messages.OrderCreated{OrderId: "o-1"}, Plan: &messages.Plan{Name: "test", Version: 1, Steps: []*messages.Step{{Name: "s"}}},
		Driver: &messages.Source{Stream: messages.StreamOrders, Sequence: 1}, Incarnation: "i",
	}}}
}

// signalled is a fact that can be added any number of times.
func signalled(seq uint64) *messages.Event {
	return &messages.Event{Kind: &messages.Event_Signalled{Signalled: &messages.Signalled{Source: &messages.Source{Stream: messages.StreamOrders, Sequence: seq}, Name: "x"}}}
}

func done() []*messages.Event {
	return []*messages.Event{
		{Kind: &messages.Event_StepCompleted{StepCompleted: &messages.StepCompleted{Step: "s"}}},
		{Kind: &messages.Event_Completed{Completed: &messages.OrderCompleted{}}},
	}
}

// follow follows the order in the background and returns what it is told.
func (w *world) follow(ctx context.Context, after uint64) (told <-chan timeline.Event, ended <-chan error) {
	events, end := make(chan timeline.Event, 1000), make(chan error, 1)
	go func() {
		end <- w.orders.Follow(ctx, "o-1", after, func(all []timeline.Event) error {
			for _, e := range all {
				events <- e
			}
			return nil
		})
		close(events)
	}()
	return events, end
}

func (w *world) next(told <-chan timeline.Event) timeline.Event {
	w.Helper()
	select {
	case e := <-told:
		return e
	case <-time.After(patience):
		w.Fatal("nothing is told")
		return timeline.Event{}
	}
}

// untilFollowed waits until somebody listens to the journal.
func (w *world) untilFollowed() {
	w.Helper()
	w.untilConsumers("nobody follows", func(n int) bool { return n > 0 })
}

// untilConsumers waits until the journal has as many as is right, for less time than the server keeps one that is not
// used any more.
func (w *world) untilConsumers(otherwise string, right func(int) bool) {
	w.Helper()
	for deadline := time.Now().Add(patience / 2); ; time.Sleep(5 * time.Millisecond) {
		s, err := w.js.Stream(w.Context(), messages.StreamEvents)
		w.must(err)
		n := s.CachedInfo().State.Consumers
		if right(n) {
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("%s: there are %d", otherwise, n)
		}
	}
}
