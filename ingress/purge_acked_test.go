package ingress_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// What is settled may be stored still when a node starts: in the inbox because nobody swept, in a work queue because a
// server died between the two halves of an acknowledgement. Here it is made by giving the stream its messages back from
// a copy, and leaving the consumer as it is.
func TestLeftovers(t *testing.T) {
	for stream, subject := range map[string]string{messages.StreamOrders: messages.SubjectOrder, messages.StreamTimers: messages.SubjectWake} {
		t.Run(stream, func(t *testing.T) { testLeftovers(t, stream, subject+"o-1") })
	}
}

func testLeftovers(t *testing.T, stream, subject string) {
	b, js := ready(t)
	ctx := within(t)
	for range 3 {
		publish(t, js, subject, nats.Header{messages.HeaderPark: {"7"}}, "{}")
	}
	store := filepath.Join(b.options.StoreDir, "jetstream", "$G", "streams", stream, "msgs")
	copied := filepath.Join(t.TempDir(), "msgs")
	var restarts uint64
	restart := func(between func()) {
		restarts++
		b.stop()
		between()
		b.start()
		reconnected(t, js.Conn(), restarts)
	}
	restart(func() { copyDir(t, copied, store) })
	consumer, err := js.Consumer(ctx, stream, messages.Consumer)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		m, err := consumer.Next()
		if err != nil {
			t.Fatal(err)
		}
		if err := m.DoubleAck(ctx); err != nil {
			t.Fatal(err)
		}
	}
	restart(func() {
		if err := os.RemoveAll(store); err != nil {
			t.Fatal(err)
		}
		copyDir(t, store, copied)
	})
	if n := stored(t, js, stream); n != 3 {
		t.Fatalf("%d messages are stored, want 3, two of them settled: the test does not test anything", n)
	}

	d := openDesk(t, js, ingress.Config{PollInterval: 20 * time.Millisecond})
	eventually(t, "the settled messages are gone", func() bool { return stored(t, js, stream) == 1 })
	m := d.next()
	if m.Sequence != 3 {
		t.Errorf("message %d is delivered, want the one that is not settled, 3", m.Sequence)
	}
	m.Settle(delivery.Done())
	if err := d.drain(); err != nil {
		t.Error(err)
	}
}

func copyDir(t *testing.T, to, from string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}
