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
	"github.com/orderly-engine/orderly/messages/natstest"
)

// A server that stops between the two halves of an acknowledgement still stores the acknowledged message. The test makes that
// state by restoring the stream's files from a copy and keeping those of the consumer.
func TestAckedMessagesArePurged(t *testing.T) {
	for stream, subject := range map[string]string{messages.StreamOrders: messages.SubjectOrder, messages.StreamTimers: messages.SubjectWake} {
		t.Run(stream, func(t *testing.T) { testAckedMessagesArePurged(t, stream, subject+"o-1") })
	}
}

func testAckedMessagesArePurged(t *testing.T, stream, subject string) {
	dir := t.TempDir()
	s := natstest.Start(t, natstest.StoreDir(dir))
	js := s.JetStream()
	ensureStreams(t, js, testAckWait)
	ctx := natstest.Context(t)
	for range 3 {
		storeMsg(t, js, subject, nats.Header{messages.HeaderPark: {"7"}}, "{}")
	}
	store := filepath.Join(dir, "jetstream", "$G", "streams", stream, "msgs")
	backup := filepath.Join(t.TempDir(), "msgs")
	var restarts uint64
	restart := func(whileStopped func() error) {
		t.Helper()
		restarts++
		s.Stop()
		if err := whileStopped(); err != nil {
			t.Fatal(err)
		}
		s.Start()
		waitReconnected(t, js.Conn(), restarts)
	}
	restart(func() error { return os.CopyFS(backup, os.DirFS(store)) })
	consumer, err := js.Consumer(ctx, stream, messages.Consumer)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		m, err := consumer.Next()
		if err == nil {
			err = m.DoubleAck(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	restart(func() error {
		if err := os.RemoveAll(store); err != nil {
			return err
		}
		return os.CopyFS(store, os.DirFS(backup))
	})
	if n := countStored(t, js, stream); n != 3 {
		t.Fatalf("%d messages are stored, want 3, two of them acknowledged: the test tests nothing", n)
	}

	in := startInbox(t, js, ingress.Config{PollInterval: 20 * time.Millisecond})
	natstest.Eventually(t, "the acknowledged messages are gone", func() bool { return countStored(t, js, stream) == 1 })
	d := in.next()
	if d.Sequence != 3 {
		t.Errorf("message %d is delivered, want 3, the only one that is not acknowledged", d.Sequence)
	}
	d.Settle(delivery.Done())
	if err := in.drain(natstest.Context(t)); err != nil {
		t.Error(err)
	}
}
