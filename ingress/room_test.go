package ingress_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/health"
	"github.com/orderly-engine/orderly/messages/natstest"
)

func storeOf(limit int64) ingress.Store {
	return func(context.Context) (ingress.StoreState, error) {
		return ingress.StoreState{Left: limit, Limit: limit}, nil
	}
}

func maxBytes(t *testing.T, js jetstream.JetStream, stream string) int64 {
	t.Helper()
	s, err := js.Stream(natstest.Context(t), stream)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().Config.MaxBytes
}

func TestInboxGetsAShareOfTheStore(t *testing.T) {
	js := natstest.Start(t).JetStream()
	ensure := func(limit int64, own bool) {
		t.Helper()
		if err := ingress.EnsureStreams(natstest.Context(t), js, ingress.Streams{Store: storeOf(limit), OwnStore: own}); err != nil {
			t.Fatal(err)
		}
	}
	want := func(bytes int64) {
		t.Helper()
		if got := maxBytes(t, js, messages.StreamOrders); got != bytes {
			t.Errorf("the inbox is limited to %d bytes, want %d", got, bytes)
		}
	}
	ensure(400<<20, false)
	want(100 << 20)
	if got := maxBytes(t, js, messages.StreamDead); got != 25<<20 {
		t.Errorf("the dead letters are limited to %d bytes", got)
	}
	ensure(800<<20, false)
	want(100 << 20) // a stream that exists is the operator's
	ensure(800<<20, true)
	want(200 << 20) // or the node's own
	stream, err := js.Stream(natstest.Context(t), messages.StreamOrders)
	if err != nil {
		t.Fatal(err)
	}
	edited := stream.CachedInfo().Config
	edited.MaxBytes = 7 << 20
	if _, err := js.UpdateStream(natstest.Context(t), edited); err != nil {
		t.Fatal(err)
	}
	ensure(400<<20, true)
	want(7 << 20) // unless somebody else changed it
}

// An inbox of a version without limits gets one in the node's own store.
func TestExistingInboxIsLimited(t *testing.T) {
	_, js := startServer(t)
	if err := ingress.EnsureStreams(natstest.Context(t), js, ingress.Streams{AckWait: testAckWait, Store: storeOf(400 << 20), OwnStore: true}); err != nil {
		t.Fatal(err)
	}
	if got := maxBytes(t, js, messages.StreamOrders); got != 100<<20 {
		t.Errorf("limited to %d bytes", got)
	}
}

// The limit of the account, what its streams take, parked orders and the inbox count.
func TestRoomOfAnAccount(t *testing.T) {
	s := natstest.Start(t)
	const limit = 64 << 20
	limits := map[string]server.JetStreamAccountLimits{"": {MaxMemory: -1, MaxStore: limit, MaxStreams: -1, MaxConsumers: -1}}
	if err := s.GlobalAccount().UpdateJetStreamLimits(limits); err != nil {
		t.Fatal(err)
	}
	js := s.JetStream()
	store := ingress.AccountStore(js, 1)
	if err := ingress.EnsureStreams(natstest.Context(t), js, ingress.Streams{Store: store}); err != nil {
		t.Fatal(err)
	}
	var monitor health.Monitor
	room, err := ingress.NewRoom(js, store, monitor.Check("room", 0), discardLog(), noop.Meter{})
	if err != nil {
		t.Fatal(err)
	}
	defer room.Close()
	measure := func() ingress.Measurement {
		t.Helper()
		if err := room.Measure(natstest.Context(t)); err != nil {
			t.Fatal(err)
		}
		return *room.Measured()
	}
	m := measure()
	if m.Left > limit || m.Left < limit-4096 || m.Inbox != limit/4 || m.Need != limit*3/4/8 || room.Err() != nil {
		t.Errorf("an empty store: %+v, %v", m, room.Err())
	}
	timers := ingress.NewTimers(js, nil)
	for n := range 10 {
		if err := timers.Schedule(natstest.Context(t), messages.Timer{OrderID: messages.OrderID("o-" + strconv.Itoa(n)), Park: 1, At: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	if parked := measure(); parked.Need < m.Need+10*8<<10 {
		t.Errorf("with ten parked orders: %+v, want more than %d", parked, m.Need)
	}
	// Entries of ended orders take the rest, and the inbox cannot take what is kept.
	fill := make([]byte, 1<<19)
	for n := 0; room.Err() == nil && n < 200; n++ {
		if _, err := js.Publish(natstest.Context(t), messages.SubjectEvent+strconv.Itoa(n), fill); err != nil {
			t.Fatal(err)
		}
		measure()
	}
	if !errors.Is(room.Err(), ingress.ErrNoRoom) || monitor.Err() == nil || room.Admit(1) {
		t.Errorf("a full store: %v, %v", room.Err(), monitor.Err())
	}
	for err = nil; err == nil; {
		_, err = js.Publish(natstest.Context(t), messages.SubjectOrder+"o", fill)
	}
	var refused *jetstream.APIError
	if !errors.As(err, &refused) || refused.Description != "maximum bytes exceeded" {
		t.Errorf("a full inbox: %v", err)
	}
	if _, err := js.Publish(natstest.Context(t), messages.SubjectEvent+"o", fill); err != nil {
		t.Errorf("with a full inbox there is no room for entries: %v", err)
	}
}

// Without a limit every order is admitted.
func TestRoomWithoutLimit(t *testing.T) {
	_, js := startServer(t)
	room, err := ingress.NewRoom(js, ingress.AccountStore(js, 1), nil, discardLog(), noop.Meter{})
	if err != nil {
		t.Fatal(err)
	}
	defer room.Close()
	if err := room.Measure(natstest.Context(t)); err != nil || room.Err() != nil || room.Measured() != nil || !room.Admit(1<<30) {
		t.Errorf("%v, %v, %+v", err, room.Err(), room.Measured())
	}
}
