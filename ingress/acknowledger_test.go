package ingress_test

import (
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
	"github.com/orderly-engine/orderly/messages/natstest"
)

// waitStored waits until the inbox stores exactly these sequences.
func waitStored(t testing.TB, js jetstream.JetStream, want ...uint64) {
	t.Helper()
	natstest.Eventually(t, fmt.Sprintf("the inbox stores %d and nothing else", want), func() bool {
		info, err := openStream(t, js, messages.StreamOrders).Info(natstest.Context(t), jetstream.WithDeletedDetails(true))
		if err != nil {
			t.Fatal(err)
		}
		var stored []uint64
		for seq := info.State.FirstSeq; seq <= info.State.LastSeq; seq++ {
			if !slices.Contains(info.State.Deleted, seq) {
				stored = append(stored, seq)
			}
		}
		return slices.Equal(stored, want)
	})
}

// countPurges counts the requests to purge the inbox from now on.
func countPurges(t testing.TB, nc *nats.Conn) func() int {
	t.Helper()
	requests := make(chan *nats.Msg, 1000)
	if _, err := nc.ChanSubscribe("$JS.API.STREAM.PURGE."+messages.StreamOrders, requests); err != nil {
		t.Fatal(err)
	}
	flush := func() {
		if err := nc.FlushTimeout(natstest.Patience); err != nil {
			t.Fatal(err)
		}
	}
	flush()
	return func() int {
		flush() // then what the server has sent is in the channel
		return len(requests)
	}
}

// settleExcept settles all deliveries but one.
func settleExcept(held map[uint64]*delivery.Delivery, open uint64) {
	for seq, d := range held {
		if seq != open {
			d.Settle(delivery.Done())
		}
	}
}

// The settled head of the stream is purged, later messages are acknowledged singly, and an open message stays.
func TestSettledHeadIsPurged(t *testing.T) {
	t.Parallel()
	s, js := startServerNoRedelivery(t)
	purges := countPurges(t, s.Connect())
	in := startInbox(t, js, ingress.Config{GroupAck: true, AckWait: 2 * time.Second})
	storeOrders(t, js, 200)
	held := in.hold(200)
	settleExcept(held, 120)
	waitStored(t, js, 120)
	if purges() == 0 {
		t.Error("nothing was purged")
	}
	if pending := consumerInfo(t, js).NumAckPending; pending != 1 {
		t.Errorf("%d messages are not acknowledged, want 1", pending)
	}
	held[120].Settle(delivery.Later(0))
	again := in.next()
	if again.Sequence != 120 || again.Deliveries != 2 {
		t.Errorf("got message %d, delivery %d: want message 120, delivery 2", again.Sequence, again.Deliveries)
	}
	again.Settle(delivery.Done())
	waitEmpty(t, js, messages.StreamOrders)
}

// While the head of the stream is open nothing is purged, and settled messages are acknowledged singly.
func TestOpenHeadIsNotPurged(t *testing.T) {
	t.Parallel()
	s, js := startServerNoRedelivery(t)
	purges := countPurges(t, s.Connect())
	in := startInbox(t, js, ingress.Config{GroupAck: true, AckWait: time.Second})
	storeOrders(t, js, 100)
	held := in.hold(100)
	settleExcept(held, 1)
	waitStored(t, js, 1)
	if n := purges(); n != 0 {
		t.Errorf("%d purges while the first message is open", n)
	}
	held[1].Settle(delivery.Done())
	waitEmpty(t, js, messages.StreamOrders)
}

// A purge would delay redeliveries.
func TestNoPurgeWhileMessagesAreRedelivered(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		// before stores the first order, if set.
		before func(*testing.T, jetstream.JetStream)
		settle func(open *delivery.Delivery)
	}{
		"nak":     {settle: func(open *delivery.Delivery) { open.Settle(delivery.Later(time.Minute)) }},
		"dropped": {settle: func(open *delivery.Delivery) { open.Settle(delivery.Dropped()) }},
		"redelivered": {settle: func(*delivery.Delivery) {}, before: func(t *testing.T, js jetstream.JetStream) {
			storeOrder(t, js, "o")
			c, err := js.Consumer(natstest.Context(t), messages.StreamOrders, messages.Consumer)
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
			s, js := startServerNoRedelivery(t)
			n := 100
			if c.before != nil {
				c.before(t, js)
				n--
			}
			storeOrders(t, js, n)
			purges := countPurges(t, s.Connect())
			in := startInbox(t, js, ingress.Config{GroupAck: true, AckWait: time.Minute})
			held := in.hold(100)
			c.settle(held[100])
			settleExcept(held, 100)
			waitStored(t, js, 100)
			if n := purges(); n != 0 {
				t.Errorf("%d purges", n)
			}
		})
	}
}

// Wake-ups have the sequences of another stream.
func TestWakeUpsDoNotAcknowledgeOrders(t *testing.T) {
	t.Parallel()
	_, js := startServerNoRedelivery(t)
	in := startInbox(t, js, ingress.Config{GroupAck: true, AckWait: time.Minute})
	storeOrders(t, js, 100)
	in.hold(100)
	for i := range 100 {
		storeMsg(t, js, fmt.Sprintf("%so-%d", messages.SubjectWake, i), nats.Header{messages.HeaderPark: {"7"}}, "")
	}
	for range 100 {
		in.next().Settle(delivery.Done())
	}
	waitEmpty(t, js, messages.StreamTimers)
	if n := countStored(t, js, messages.StreamOrders); n != 100 {
		t.Errorf("%d of 100 open messages are stored", n)
	}
}

// A node purges nothing that is open on another node.
func TestPurgesOfTwoNodes(t *testing.T) {
	t.Parallel()
	s, js := startServerNoRedelivery(t)
	deliveries := make(chan *delivery.Delivery, 1000)
	for range 2 {
		startInboxFunc(t, s.JetStream(), ingress.Config{GroupAck: true, AckWait: 5 * time.Second, MaxInFlight: 64},
			func(d *delivery.Delivery) { deliveries <- d })
	}
	storeOrders(t, js, 1000)
	for range 1000 {
		d := natstest.Receive(t, deliveries, "a delivery")
		if d.Deliveries > 1 {
			t.Fatalf("message %d is redelivered", d.Sequence)
		}
		if d.Sequence%100 != 0 {
			d.Settle(delivery.Done())
		}
	}
	waitStored(t, js, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000)
}

func TestDrainSendsPendingAcks(t *testing.T) {
	t.Parallel()
	_, js := startServerNoRedelivery(t)
	in := startInbox(t, js, ingress.Config{GroupAck: true, AckWait: time.Minute})
	storeOrders(t, js, 100)
	settleExcept(in.hold(100), 1)
	if err := in.drain(endedContext()); err == nil || !strings.Contains(err.Error(), "1 deliveries are not settled") {
		t.Errorf("error %v", err)
	}
	waitStored(t, js, 1)
}

// A user without the permission to purge acknowledges singly, and one warning says what that costs.
func TestPurgeForbidden(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "admin", Password: "a"},
			{Username: "node", Password: "n", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"$JS.API.STREAM.PURGE.>"}}}},
		}
	})
	admin := s.JetStream(nats.UserInfo("admin", "a"))
	ensureStreams(t, admin, testAckWait)
	storeOrders(t, admin, 200)
	var log strings.Builder
	in := startInboxFunc(t, s.JetStream(nats.UserInfo("node", "n")),
		ingress.Config{GroupAck: true, AckWait: time.Minute, Logger: slog.New(slog.NewTextHandler(&log, nil))},
		func(d *delivery.Delivery) { d.Settle(delivery.Done()) })
	waitEmpty(t, admin, messages.StreamOrders)
	if err := errors.Join(in.drain(natstest.Context(t)), <-in.ran); err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "purge of settled messages failed"); n != 1 {
		t.Errorf("%d warnings, want 1:\n%s", n, log.String())
	}
}
