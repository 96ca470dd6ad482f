package ingress_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

func newTimers(t testing.TB, js jetstream.JetStream) *ingress.Timers {
	t.Helper()
	timers, err := ingress.NewTimers(js.Conn())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(timers.Close)
	return timers
}

func TestTimerFiresNotEarly(t *testing.T) {
	_, js := ready(t)
	desk := openDesk(t, js, ingress.Config{})
	timers := newTimers(t, js)
	for n, in := range []time.Duration{-time.Hour, 150 * time.Millisecond, 700 * time.Millisecond, 1200 * time.Millisecond} {
		at := time.Now().Add(in)
		if err := timers.Schedule(within(t), messages.Timer{OrderID: "o", Park: uint64(n + 1), At: at, Snapshot: []byte{1, 0}, Traceparent: "tp"}); err != nil {
			t.Fatal(err)
		}
		d := desk.next()
		if early := time.Until(at); early > 0 {
			t.Errorf("the timer of %s fires %s early", in, early)
		}
		if d.OrderID != "o" || d.Type != messages.TypeWake || d.Park != uint64(n+1) || string(d.Snapshot) != "\x01\x00" || d.Traceparent != "tp" {
			t.Errorf("got %+v", d)
		}
		d.Settle(delivery.Done())
	}
	emptied(t, js, messages.StreamTimers)
}

func TestWakeUpComesBackUntilSettled(t *testing.T) {
	t.Parallel()
	_, js := ready(t)
	desk := openDesk(t, js, ingress.Config{})
	if err := newTimers(t, js).Schedule(within(t), messages.Timer{OrderID: "o", Park: 7, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	desk.next().Settle(delivery.Later(0))
	desk.next().Settle(delivery.Dropped())
	d := desk.next()
	if d.Deliveries != 3 || d.Park != 7 {
		t.Errorf("got %+v", d)
	}
	d.Settle(delivery.Done())
	emptied(t, js, messages.StreamTimers)
}

func TestReplacedTimerFiresOnce(t *testing.T) {
	t.Parallel()
	_, js := ready(t)
	desk := openDesk(t, js, ingress.Config{})
	timers := newTimers(t, js)
	// All are due at the same time, before which the last of them is scheduled also on a busy machine.
	at := time.Now().Add(4 * time.Second)
	for n := range 20 {
		if err := timers.Schedule(within(t), messages.Timer{OrderID: "o", Park: uint64(n + 1), At: at}); err != nil {
			t.Fatal(err)
		}
	}
	d := desk.next()
	if d.Park != 20 {
		t.Errorf("park %d wakes, want the last one", d.Park)
	}
	d.Settle(delivery.Done())
	desk.none(600 * time.Millisecond)
	emptied(t, js, messages.StreamTimers)
}

func TestTimersSurviveARestart(t *testing.T) {
	b, js := ready(t)
	timers := newTimers(t, js)
	for n := range 10 {
		if err := timers.Schedule(within(t), messages.Timer{OrderID: messages.OrderID(fmt.Sprintf("o-%d", n)), Park: 1, At: time.Now().Add(200 * time.Millisecond)}); err != nil {
			t.Fatal(err)
		}
	}
	b.stop()
	b.start()
	desk := openDesk(t, jetStream(t, b.connect()), ingress.Config{})
	seen := map[messages.OrderID]bool{}
	for len(seen) < 10 {
		d := desk.next()
		seen[d.OrderID] = true
		d.Settle(delivery.Done())
	}
}
