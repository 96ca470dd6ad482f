package ingress_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// inInbox are the sequences that the inbox stores.
func inInbox(t testing.TB, js jetstream.JetStream) string {
	t.Helper()
	s, err := js.Stream(within(t), messages.StreamOrders)
	if err != nil {
		t.Fatal(err)
	}
	info, err := s.Info(within(t), jetstream.WithDeletedDetails(true))
	if err != nil {
		t.Fatal(err)
	}
	var all []uint64
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq; seq++ {
		if !slices.Contains(info.State.Deleted, seq) {
			all = append(all, seq)
		}
	}
	return fmt.Sprint(all)
}

// purges counts the requests to purge the inbox from now on.
func purges(t testing.TB, nc *nats.Conn) func() int {
	t.Helper()
	requests := make(chan *nats.Msg, 1000)
	if _, err := nc.ChanSubscribe("$JS.API.STREAM.PURGE."+messages.StreamOrders, requests); err != nil {
		t.Fatal(err)
	}
	flush := func() {
		if err := nc.FlushTimeout(patience); err != nil {
			t.Fatal(err)
		}
	}
	flush()
	return func() int {
		flush() // what the server has sent is in the channel then
		return len(requests)
	}
}

// take publishes n orders, and returns their deliveries by sequence, which are 1 to n.
func (d *desk) take(js jetstream.JetStream, n int) map[uint64]*delivery.Delivery {
	d.t.Helper()
	for i := range n {
		publish(d.t, js, fmt.Sprintf("ORDER.o-%d", i), nil, created(fmt.Sprintf("o-%d", i)))
	}
	return d.hold(n)
}

// hold returns the next n deliveries by sequence.
func (d *desk) hold(n int) map[uint64]*delivery.Delivery {
	d.t.Helper()
	held := map[uint64]*delivery.Delivery{}
	for range n {
		m := d.next()
		held[m.Sequence] = m
	}
	return held
}

// Of what is settled at once, the head of the stream is purged, and the rest acknowledged; what is open stays, and is
// delivered again.
func TestHeadIsPurged(t *testing.T) {
	t.Parallel()
	b, js := patient(t)
	count := purges(t, b.connect())
	desk := openDesk(t, js, ingress.Config{GroupAck: true, AckWait: 2 * time.Second})
	held := desk.take(js, 200)
	for seq, d := range held {
		if seq != 120 {
			d.Settle(delivery.Done())
		}
	}
	eventually(t, "only the open message is left", func() bool { return inInbox(t, js) == "[120]" })
	if n := count(); n == 0 {
		t.Error("nothing was purged")
	}
	if pending := consumer(t, js).NumAckPending; pending != 1 {
		t.Errorf("%d messages are not acknowledged, want 1", pending)
	}
	held[120].Settle(delivery.Later(0))
	again := desk.next()
	if again.Sequence != 120 || again.Deliveries != 2 {
		t.Errorf("message %d is delivered %d times", again.Sequence, again.Deliveries)
	}
	again.Settle(delivery.Done())
	emptied(t, js, messages.StreamOrders)
}

// Without a head that is settled nothing is purged, and everything else is acknowledged nevertheless.
func TestOpenHeadIsNotPurged(t *testing.T) {
	t.Parallel()
	b, js := patient(t)
	count := purges(t, b.connect())
	desk := openDesk(t, js, ingress.Config{GroupAck: true, AckWait: time.Second})
	held := desk.take(js, 100)
	for seq, d := range held {
		if seq != 1 {
			d.Settle(delivery.Done())
		}
	}
	eventually(t, "only the open message is left", func() bool { return inInbox(t, js) == "[1]" })
	if n := count(); n != 0 {
		t.Errorf("%d purges, with the first message open", n)
	}
	held[1].Settle(delivery.Done())
	emptied(t, js, messages.StreamOrders)
}

// A purge would delay those that are to be delivered again.
func TestNoPurgeWhileMessagesComeAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before func(*testing.T, jetstream.JetStream)
		settle func(open *delivery.Delivery)
	}{
		"one is given back": {settle: func(open *delivery.Delivery) { open.Settle(delivery.Later(time.Minute)) }},
		"one is dropped":    {settle: func(open *delivery.Delivery) { open.Settle(delivery.Dropped()) }},
		"one came again": {before: func(t *testing.T, js jetstream.JetStream) {
			publish(t, js, "ORDER.o", nil, created("o"))
			c, err := js.Consumer(within(t), messages.StreamOrders, messages.Consumer)
			if err != nil {
				t.Fatal(err)
			}
			m, err := c.Next()
			if err == nil {
				err = m.Nak()
			}
			if err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, js := patient(t)
			n := 100
			if c.before != nil {
				c.before(t, js)
				n--
			}
			for i := range n {
				publish(t, js, fmt.Sprintf("ORDER.o-%d", i), nil, created(fmt.Sprintf("o-%d", i)))
			}
			count := purges(t, b.connect())
			desk := openDesk(t, js, ingress.Config{GroupAck: true, AckWait: time.Minute})
			held := desk.hold(100)
			if c.settle != nil {
				c.settle(held[100])
			}
			for seq := uint64(1); seq < 100; seq++ {
				held[seq].Settle(delivery.Done())
			}
			eventually(t, "only the open message is left", func() bool { return inInbox(t, js) == "[100]" })
			if n := count(); n != 0 {
				t.Errorf("%d purges", n)
			}
		})
	}
}

// Wake-ups are numbered by another stream.
func TestWakesAreNotTakenForOrders(t *testing.T) {
	t.Parallel()
	_, js := patient(t)
	desk := openDesk(t, js, ingress.Config{GroupAck: true, AckWait: time.Minute})
	desk.take(js, 100)
	for i := range 100 {
		publish(t, js, fmt.Sprintf("%so-%d", messages.SubjectWake, i), nats.Header{messages.HeaderPark: {"7"}}, "")
	}
	for range 100 {
		desk.next().Settle(delivery.Done())
	}
	emptied(t, js, messages.StreamTimers)
	if n := stored(t, js, messages.StreamOrders); n != 100 {
		t.Errorf("%d of 100 open messages are stored", n)
	}
}

// Two nodes that share an inbox purge nothing that is open on the other.
func TestPurgesOfTwoNodes(t *testing.T) {
	t.Parallel()
	b, js := patient(t)
	var desks [2]*desk
	for i := range desks {
		desks[i] = openDesk(t, jetStream(t, b.connect()), ingress.Config{GroupAck: true, AckWait: 5 * time.Second, MaxInFlight: 64})
	}
	const orders = 1000
	open := map[uint64]bool{}
	for i := range orders {
		publish(t, js, fmt.Sprintf("ORDER.o-%d", i), nil, created(fmt.Sprintf("o-%d", i)))
	}
	for n := range orders {
		var m *delivery.Delivery
		select {
		case m = <-desks[0].deliveries:
		case m = <-desks[1].deliveries:
		case <-time.After(patience):
			t.Fatalf("%d of %d orders came", n, orders)
		}
		if m.Deliveries > 1 {
			t.Fatalf("message %d comes again", m.Sequence)
		}
		if m.Sequence%100 == 0 {
			open[m.Sequence] = true
			continue
		}
		m.Settle(delivery.Done())
	}
	want := fmt.Sprint(slices.Sorted(func(yield func(uint64) bool) {
		for seq := range open {
			if !yield(seq) {
				return
			}
		}
	}))
	eventually(t, "the open messages are left", func() bool { return inInbox(t, js) == want })
}

// What is kept is acknowledged when the inbox is drained.
func TestDrainAcknowledges(t *testing.T) {
	t.Parallel()
	_, js := patient(t)
	desk := openDesk(t, js, ingress.Config{GroupAck: true, AckWait: time.Minute})
	for seq, d := range desk.take(js, 100) {
		if seq != 1 {
			d.Settle(delivery.Done())
		}
	}
	desk.drained = true
	desk.close()
	now, cancel := context.WithCancel(context.Background())
	cancel()
	if err := desk.inbox.Drain(now); err == nil || !strings.Contains(err.Error(), "1 deliveries are not settled") {
		t.Errorf("error %v", err)
	}
	eventually(t, "only the open message is left", func() bool { return inInbox(t, js) == "[1]" })
}

// A user that may not purge acknowledges, and says once what that costs.
func TestPurgeForbidden(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	b.stop()
	b.options.Users = []*server.User{
		{Username: "admin", Password: "a"},
		{Username: "node", Password: "n", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"$JS.API.STREAM.PURGE.>"}}}},
	}
	b.start()
	admin := jetStream(t, b.connect(nats.UserInfo("admin", "a")))
	ensure(t, admin)
	for i := range 200 {
		publish(t, admin, fmt.Sprintf("ORDER.o-%d", i), nil, created(fmt.Sprintf("o-%d", i)))
	}
	var log strings.Builder
	inbox, err := ingress.New(jetStream(t, b.connect(nats.UserInfo("node", "n"))), ingress.Config{
		GroupAck: true, AckWait: time.Minute, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	}, func(m *delivery.Delivery) { m.Settle(delivery.Done()) })
	if err != nil {
		t.Fatal(err)
	}
	running, end := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- inbox.Run(running) }()
	emptied(t, admin, messages.StreamOrders)
	end()
	if err := errors.Join(<-ran, inbox.Drain(within(t))); err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "settled messages cannot be purged"); n != 1 {
		t.Errorf("said %d times:\n%s", n, log.String())
	}
}
