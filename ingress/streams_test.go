package ingress_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
)

func TestEnsureStreamsIsIdempotentAndConcurrent(t *testing.T) {
	s := natstest.Start(t)
	var wg sync.WaitGroup
	for range 4 {
		js := s.JetStream()
		wg.Go(func() {
			for range 3 {
				if err := ingress.EnsureStreams(t.Context(), js, ingress.Streams{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestEnsureStreamsNamesDifferingFields(t *testing.T) {
	s := natstest.Start(t)
	js := s.JetStream()
	if _, err := js.CreateStream(natstest.Context(t), jetstream.StreamConfig{
		Name: messages.StreamOrders, Subjects: []string{"ORDER.>"}, Storage: jetstream.MemoryStorage, AllowRollup: true,
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateConsumer(natstest.Context(t), messages.StreamOrders, jetstream.ConsumerConfig{
		Durable: messages.Consumer, AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Minute, MaxDeliver: 3,
	}); err != nil {
		t.Fatal(err)
	}
	err := ingress.EnsureStreams(natstest.Context(t), js, ingress.Streams{})
	if !errors.Is(err, ingress.ErrConfigMismatch) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{
		"stream ORDERS", "subjects: want [ORDER.*], found [ORDER.>]", "retention: want WorkQueue, found Limits", "storage: want File, found Memory",
		"max_msg_size: want 524288, found -1", "allow_rollup_hdrs: want false, found true", "allow_atomic: want true, found false",
		"discard: want DiscardNew, found DiscardOld", "consumer orderly of stream ORDERS", "ack_wait: want 5s, found 1m0s",
		"max_deliver: want -1, found 3", "max_ack_pending: want 100000, found 1000", "filter_subject: want ORDER.*, found ",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not contain %q", err, want)
		}
	}
	if got, err := js.Stream(natstest.Context(t), messages.StreamOrders); err != nil || got.CachedInfo().Config.Storage != jetstream.MemoryStorage {
		t.Errorf("the stream was changed: %v", err)
	}
}

// A server that cannot carry the largest messages is refused at the start, not when an order needs one.
func TestServerWithSmallPayload(t *testing.T) {
	for limit, ok := range map[int32]bool{messages.MinPayload: true, messages.MinPayload - 1: false} {
		s := natstest.Start(t, func(o *server.Options) { o.MaxPayload = limit })
		err := ingress.EnsureStreams(natstest.Context(t), s.JetStream(), ingress.Streams{})
		if ok && err != nil || !ok && (!errors.Is(err, ingress.ErrConfigMismatch) || !strings.Contains(err.Error(), "max_payload: want at least 802816, found 802815")) {
			t.Errorf("max_payload %d: got %v", limit, err)
		}
	}
}

func TestStreamsValidate(t *testing.T) {
	for _, s := range []ingress.Streams{{Replicas: 2}, {Replicas: -1}, {AckWait: time.Millisecond}} {
		if err := s.Validate(); err == nil {
			t.Errorf("%+v is valid", s)
		}
	}
}

func TestInboxRefusesHeadersThatDeleteMessages(t *testing.T) {
	_, js := startServer(t)
	for header, value := range map[string]string{"Nats-Rollup": "all", "Nats-TTL": "1s", "Nats-Schedule": "@at 2030-01-01T00:00:00Z"} {
		m := nats.NewMsg("ORDER.o")
		m.Header.Set(header, value)
		if _, err := js.PublishMsg(natstest.Context(t), m); err == nil {
			t.Errorf("the inbox stores a message with %s", header)
		}
	}
}

func TestFirstStored(t *testing.T) {
	_, js := startServer(t)
	for _, id := range []string{"a", "b", "a", "b"} {
		if _, err := js.Publish(natstest.Context(t), "ORDER."+id, nil); err != nil {
			t.Fatal(err)
		}
	}
	lookup := ingress.NewLookup(js)
	for _, c := range []struct {
		id         messages.OrderID
		from, want uint64
		found      bool
	}{{"a", 0, 1, true}, {"a", 1, 1, true}, {"a", 2, 3, true}, {"a", 4, 0, false}, {"b", 1, 2, true}, {"c", 0, 0, false}} {
		m, found, err := lookup.FirstStored(natstest.Context(t), c.id, c.from)
		if err != nil || m.Sequence != c.want || found != c.found || found && m.Type != messages.TypeCreated {
			t.Errorf("first of %s from %d: %+v, %v, %v", c.id, c.from, m, found, err)
		}
	}
	if err := js.DeleteStream(natstest.Context(t), messages.StreamOrders); err != nil {
		t.Fatal(err)
	}
	if _, _, err := lookup.FirstStored(natstest.Context(t), "a", 0); err == nil {
		t.Error("no error although the stream does not exist")
	}
}
