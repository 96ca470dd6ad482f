package ingress_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// deadLetterOrder stores a valid order with that header, settles it as dead and returns its dead letter, the only one.
func deadLetterOrder(t *testing.T, js jetstream.JetStream, in *testInbox, header nats.Header) *ingress.DeadLetter {
	t.Helper()
	storeMsg(t, js, "ORDER.o", header, orderJSON("o"))
	in.next().Settle(delivery.Dead("too early"))
	d := waitDeadLetters(t, ingress.NewDeadLetters(js), 1)[0]
	waitEmpty(t, js, messages.StreamOrders)
	return d
}

func TestRedrive(t *testing.T) {
	_, js := startServer(t)
	in := startInbox(t, js, ingress.Config{})
	dead := ingress.NewDeadLetters(js)
	deadLetterOrder(t, js, in, nats.Header{"traceparent": {"tp"}, nats.MsgIdHdr: {"o"}, nats.ExpectedLastSeqHdr: {"0"}, "X": {"y"}})
	seq, err := dead.Redrive(natstest.Context(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	d := in.next()
	if d.Sequence != seq || d.Traceparent != "tp" || d.Created.GetOrderId() != "o" {
		t.Errorf("got %+v", d)
	}
	if _, err := dead.Get(natstest.Context(t), 1); !errors.Is(err, ingress.ErrNoDeadLetter) {
		t.Errorf("the dead letter is still stored: %v", err)
	}
	d.Settle(delivery.Dead("still too early"))
	if again := waitDeadLetters(t, dead, 1)[0]; again.Sequence != 2 || again.Reason != "still too early" || again.Source != seq {
		t.Errorf("got %+v", again)
	}
	if _, err := dead.Redrive(natstest.Context(t), 1); !errors.Is(err, ingress.ErrNoDeadLetter) {
		t.Errorf("got %v", err)
	}
}

// A crash between publish and delete does not make the next redrive publish the message a second time.
func TestRedriveAfterCrash(t *testing.T) {
	_, js := startServer(t)
	in := startInbox(t, js, ingress.Config{})
	d := deadLetterOrder(t, js, in, nil)
	// The operations of a redrive before its delete.
	id := fmt.Sprintf("redrive:%d:%d", d.Sequence, d.Stored.UnixNano())
	storeMsg(t, js, d.Subject, nats.Header{nats.MsgIdHdr: {id}}, string(d.Body))
	in.next().Settle(delivery.Done())
	if _, err := ingress.NewDeadLetters(js).Redrive(natstest.Context(t), d.Sequence); err != nil {
		t.Fatal(err)
	}
	in.expectNone(200 * time.Millisecond)
	waitEmpty(t, js, messages.StreamDead)
}

var errInjected = errors.New("injected failure")

// failingDelete is a JetStream on which nothing can be deleted.
type failingDelete struct{ jetstream.JetStream }

func (failingDelete) Stream(context.Context, string) (jetstream.Stream, error) {
	return nil, errInjected
}

func TestRedriveWithFailedDelete(t *testing.T) {
	_, js := startServer(t)
	in := startInbox(t, js, ingress.Config{})
	dead := ingress.NewDeadLetters(js)
	d := deadLetterOrder(t, js, in, nil)
	if _, err := ingress.NewDeadLetters(failingDelete{js}).Redrive(natstest.Context(t), d.Sequence); !errors.Is(err, errInjected) ||
		!strings.Contains(err.Error(), "is published but it is not deleted") {
		t.Errorf("got %v", err)
	}
	again := in.next()
	if again.Created.GetOrderId() != "o" {
		t.Errorf("got %+v", again)
	}
	again.Settle(delivery.Done())
	if _, err := dead.Get(natstest.Context(t), d.Sequence); err != nil {
		t.Error(err)
	}
	if _, err := dead.Redrive(natstest.Context(t), d.Sequence); err != nil {
		t.Fatal(err)
	}
	in.expectNone(200 * time.Millisecond)
	waitEmpty(t, js, messages.StreamDead)
	waitEmpty(t, js, messages.StreamOrders)
}

// A message that the inbox refuses for its size is refused at every redrive; the error differs from that of a server which
// takes no message.
func TestRedriveOfTooLargeMessage(t *testing.T) {
	_, js := startServer(t)
	dead := ingress.NewDeadLetters(js)
	d := deadLetterOrder(t, js, startInbox(t, js, ingress.Config{}), nil)
	cfg := openStream(t, js, messages.StreamOrders).CachedInfo().Config
	cfg.MaxMsgSize = 10
	if _, err := js.UpdateStream(natstest.Context(t), cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := dead.Redrive(natstest.Context(t), d.Sequence); !errors.Is(err, ingress.ErrNotRedrivable) || !strings.Contains(err.Error(), "exceeds maximum") {
		t.Errorf("got %v", err)
	}
	if _, err := dead.Get(natstest.Context(t), d.Sequence); err != nil {
		t.Error(err)
	}
}

func TestRedriveWithoutStreamKeepsTheDeadLetter(t *testing.T) {
	_, js := startServer(t)
	dead := ingress.NewDeadLetters(js)
	deadLetterOrder(t, js, startInbox(t, js, ingress.Config{}), nil)
	if err := js.DeleteStream(natstest.Context(t), messages.StreamOrders); err != nil {
		t.Fatal(err)
	}
	if _, err := dead.Redrive(natstest.Context(t), 1); !errors.Is(err, ingress.ErrNoStream) || errors.Is(err, ingress.ErrNotRedrivable) {
		t.Errorf("got %v", err)
	}
	if d, err := dead.Get(natstest.Context(t), 1); err != nil || string(d.Body) != orderJSON("o") {
		t.Errorf("got %v, %v", d, err)
	}
}
