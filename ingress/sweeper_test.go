package ingress_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
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
		gone := false
		for _, d := range info.State.Deleted {
			gone = gone || d == seq
		}
		if !gone {
			all = append(all, seq)
		}
	}
	return fmt.Sprint(all)
}

// What is settled goes, once everything before it is, and nothing that is open does.
func TestSweepLeavesWhatIsOpen(t *testing.T) {
	t.Parallel()
	_, js := ready(t)
	desk := openDesk(t, js, ingress.Config{AckWait: time.Minute})
	for n := range 5 {
		publish(t, js, fmt.Sprintf("ORDER.o-%d", n), nil, created(fmt.Sprintf("o-%d", n)))
	}
	held := map[uint64]*messages.Delivery{}
	for range 5 {
		d := desk.next()
		held[d.Sequence] = d
	}
	for _, step := range []struct {
		settle []uint64
		left   string
	}{{[]uint64{1, 3, 5}, "[2 3 4 5]"}, {[]uint64{2}, "[4 5]"}, {[]uint64{4}, "[]"}} {
		for _, seq := range step.settle {
			held[seq].Settle(messages.Done())
		}
		eventually(t, "the inbox stores "+step.left, func() bool { return inInbox(t, js) == step.left })
		desk.none(2 * ingress.SweepPause)
		if got := inInbox(t, js); got != step.left {
			t.Fatalf("after %v are settled the inbox stores %s, want %s", step.settle, got, step.left)
		}
	}
}

// The message of a dead letter goes at once: the journal does not know it, and later messages of its order wait for it.
func TestDeadLetterLeavesNoMessage(t *testing.T) {
	t.Parallel()
	b, js := ready(t)
	desk := openDesk(t, js, ingress.Config{AckWait: time.Minute})
	publish(t, js, "ORDER.o-1", nil, created("o-1"))
	open := desk.next()
	publish(t, js, "ORDER.o-2", nil, "junk")
	publish(t, js, "ORDER.o-2", nil, created("o-2"))
	later := desk.next()
	buried(t, deadLetters(t, b.connect()), 1)
	eventually(t, "the message is gone", func() bool { return inInbox(t, js) == "[1 3]" })
	open.Settle(messages.Done())
	later.Settle(messages.Done())
	emptied(t, js, messages.StreamOrders)
}

// A node at rest asks for nothing.
func TestSweeperRests(t *testing.T) {
	t.Parallel()
	b, js := ready(t)
	desk := openDesk(t, js, ingress.Config{})
	publish(t, js, "ORDER.o", nil, created("o"))
	desk.next().Settle(messages.Done())
	emptied(t, js, messages.StreamOrders)
	requests := make(chan *nats.Msg, 100)
	watcher := b.connect()
	for _, subject := range []string{"$JS.API.STREAM.PURGE.ORDERS", "$JS.API.CONSUMER.INFO.ORDERS.orderly"} {
		if _, err := watcher.ChanSubscribe(subject, requests); err != nil {
			t.Fatal(err)
		}
	}
	if err := watcher.FlushTimeout(time.Minute); err != nil {
		t.Fatal(err)
	}
	desk.none(4 * ingress.SweepPause)
	// The one that emptied the inbox may have seen this before the sweeper did.
	if n := len(requests); n > 1 {
		t.Errorf("%d requests by a node that has nothing to do", n)
	}
}

// A node that ends leaves nothing behind that it has settled.
func TestDrainSweeps(t *testing.T) {
	t.Parallel()
	_, js := ready(t)
	desk := openDesk(t, js, ingress.Config{})
	for n := range 20 {
		publish(t, js, fmt.Sprintf("ORDER.o-%d", n), nil, created(fmt.Sprintf("o-%d", n)))
	}
	for range 20 {
		desk.next().Settle(messages.Done())
	}
	eventually(t, "the server knows", func() bool { return consumer(t, js).AckFloor.Stream == 20 })
	if err := desk.drain(); err != nil {
		t.Fatal(err)
	}
	if got := inInbox(t, js); got != "[]" {
		t.Errorf("the inbox stores %s", got)
	}
}
