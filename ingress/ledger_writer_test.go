package ingress_test

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/ingress/ledger"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/natstest"
)

func readLedger(t testing.TB, js jetstream.JetStream) *ledger.State {
	t.Helper()
	s, err := ledger.Read(natstest.Context(t), js)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What leaves the inbox and is not in the journal is in the ledger, and nothing else is.
func TestWithoutEffectIsInTheLedger(t *testing.T) {
	for _, groupAck := range []bool{false, true} {
		t.Run(fmt.Sprintf("group ack %t", groupAck), func(t *testing.T) {
			_, js := startServer(t)
			in := startInbox(t, js, ingress.Config{GroupAck: groupAck})
			storeOrders(t, js, 5)
			held := in.hold(5)
			held[1].Settle(delivery.Done())
			held[2].Settle(delivery.DoneWithoutEffect())
			held[3].Settle(delivery.Dead("no"))
			held[4].Settle(delivery.DoneWithoutEffect())
			held[5].Settle(delivery.Later(0))
			in.next().Settle(delivery.Done())
			waitEmpty(t, js, messages.StreamOrders)
			got := readLedger(t, js)
			if want := (ledger.Counts{WithoutEffect: 2, DeadLettered: 1}); got.Counts != want || len(got.Set) != 1 || got.Set[0] != (ledger.Run{First: 2, Last: 4}) {
				t.Errorf("%v %+v", got.Set, got.Counts)
			}
		})
	}
}

// Without the ledger nothing leaves the inbox that only the ledger would account for; with the stream it does.
func TestLedgerIsStoredFirst(t *testing.T) {
	_, js := startServer(t)
	in := startInbox(t, js, ingress.Config{})
	if err := js.DeleteStream(natstest.Context(t), messages.StreamLedger); err != nil {
		t.Fatal(err)
	}
	storeOrders(t, js, 1)
	in.next().Settle(delivery.DoneWithoutEffect())
	again := in.next() // given back
	if n := countStored(t, js, messages.StreamOrders); n != 1 {
		t.Errorf("%d messages are stored", n)
	}
	if err := ingress.EnsureStreams(natstest.Context(t), js, ingress.Streams{AckWait: testAckWait}); err != nil {
		t.Fatal(err)
	}
	again.Settle(delivery.DoneWithoutEffect())
	waitEmpty(t, js, messages.StreamOrders)
	if got := readLedger(t, js); got.Counts.WithoutEffect != 1 {
		t.Errorf("%+v", got.Counts)
	}
}

// A flood of duplicates costs few messages of the ledger.
func TestDuplicatesShareRecords(t *testing.T) {
	_, js := startServer(t)
	const duplicates = 4000
	storeOrders(t, js, duplicates)
	in := startInboxFunc(t, js, ingress.Config{AckWait: ingress.DefaultAckWait}, func(d *delivery.Delivery) { d.Settle(delivery.DoneWithoutEffect()) })
	waitEmpty(t, js, messages.StreamOrders)
	if err := in.drain(natstest.Context(t)); err != nil {
		t.Fatal(err)
	}
	records := countStored(t, js, messages.StreamLedger)
	if got := readLedger(t, js); got.Set.Len() != duplicates || records > duplicates/20 {
		t.Errorf("%d duplicates in the ledger, in %d messages", got.Set.Len(), records)
	}
}
