package ingress_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/natstest"
)

func TestTimerDoesNotFireEarly(t *testing.T) {
	_, js := startServer(t)
	in := startInbox(t, js, ingress.Config{})
	timers := ingress.NewTimers(js, nil)
	for n, delay := range []time.Duration{-time.Hour, 150 * time.Millisecond, 700 * time.Millisecond, 1200 * time.Millisecond} {
		at := time.Now().Add(delay)
		if err := timers.Schedule(natstest.Context(t), messages.Timer{OrderID: "o", Park: uint64(n + 1), At: at, Snapshot: []byte{1, 0}, Traceparent: "tp"}); err != nil {
			t.Fatal(err)
		}
		d := in.next()
		if early := time.Until(at); early > 0 {
			t.Errorf("the timer of %s fires %s early", delay, early)
		}
		if d.OrderID != "o" || d.Type != messages.TypeWake || d.Park != uint64(n+1) || string(d.Snapshot) != "\x01\x00" || d.Traceparent != "tp" {
			t.Errorf("got %+v", d)
		}
		d.Settle(delivery.Done())
	}
	waitEmpty(t, js, messages.StreamTimers)
}

func TestWakeUpIsRedeliveredUntilSettled(t *testing.T) {
	t.Parallel()
	_, js := startServer(t)
	in := startInbox(t, js, ingress.Config{})
	if err := ingress.NewTimers(js, nil).Schedule(natstest.Context(t), messages.Timer{OrderID: "o", Park: 7, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	in.next().Settle(delivery.Later(0))
	in.next().Settle(delivery.Dropped())
	d := in.next()
	if d.Deliveries != 3 || d.Park != 7 {
		t.Errorf("got %+v", d)
	}
	d.Settle(delivery.Done())
	waitEmpty(t, js, messages.StreamTimers)
}

func TestReplacedTimerFiresOnce(t *testing.T) {
	t.Parallel()
	_, js := startServer(t)
	in := startInbox(t, js, ingress.Config{})
	timers := ingress.NewTimers(js, nil)
	// All have the same time, late enough that the last is scheduled before it even on a busy machine.
	at := time.Now().Add(4 * time.Second)
	for n := range 20 {
		if err := timers.Schedule(natstest.Context(t), messages.Timer{OrderID: "o", Park: uint64(n + 1), At: at}); err != nil {
			t.Fatal(err)
		}
	}
	d := in.next()
	if d.Park != 20 {
		t.Errorf("the timer of park %d fires, want the last one, 20", d.Park)
	}
	d.Settle(delivery.Done())
	in.expectNone(600 * time.Millisecond)
	waitEmpty(t, js, messages.StreamTimers)
}

func TestTimersSurviveServerRestart(t *testing.T) {
	s, js := startServer(t)
	timers := ingress.NewTimers(js, nil)
	for n := range 10 {
		if err := timers.Schedule(natstest.Context(t), messages.Timer{OrderID: messages.OrderID(fmt.Sprintf("o-%d", n)), Park: 1, At: time.Now().Add(200 * time.Millisecond)}); err != nil {
			t.Fatal(err)
		}
	}
	s.Stop()
	s.Start()
	in := startInbox(t, s.JetStream(), ingress.Config{})
	seen := map[messages.OrderID]bool{}
	for len(seen) < 10 {
		d := in.next()
		seen[d.OrderID] = true
		d.Settle(delivery.Done())
	}
}
