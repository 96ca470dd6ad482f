package ingress_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

var errCut = errors.New("the process ends here")

// cut is a JetStream on which nothing can be deleted: what a process that dies between the halves of a redrive leaves.
type cut struct{ jetstream.JetStream }

func (cut) Stream(context.Context, string) (jetstream.Stream, error) { return nil, errCut }

// TestRedriveCutInTheMiddle: a redrive that dies between sending back and deleting has lost nothing, and the one that is
// tried again finishes it without sending twice.
func TestRedriveCutInTheMiddle(t *testing.T) {
	b, js := ready(t)
	desk := openDesk(t, js, ingress.Config{})
	whole := deadLetters(t, b.connect())
	publish(t, js, "ORDER.o", nil, created("o"))
	desk.next().Settle(delivery.Dead("too early"))
	letter := buried(t, whole, 1)[0]

	broken, err := ingress.NewDeadLetters(cut{js})
	if err != nil {
		t.Fatal(err)
	}
	defer broken.Close()
	if _, err := broken.Redrive(within(t), letter.Sequence); !errors.Is(err, errCut) || !strings.Contains(err.Error(), "sent back but not deleted") {
		t.Errorf("got %v", err)
	}
	// The message lives in the inbox, and its dead letter still tells of it.
	if d := desk.next(); d.Created.GetOrderId() != "o" {
		t.Errorf("got %+v", d)
	} else {
		d.Settle(delivery.Done())
	}
	if _, err := whole.Get(within(t), letter.Sequence); err != nil {
		t.Error(err)
	}

	if _, err := whole.Redrive(within(t), letter.Sequence); err != nil {
		t.Fatal(err)
	}
	desk.none(200 * time.Millisecond)
	emptied(t, js, messages.StreamDead)
	emptied(t, js, messages.StreamOrders)
}

// TestRedriveOfWhatIsTooLarge: what the inbox refuses for its size, it refuses for ever; that is told apart from a server
// that takes nothing.
func TestRedriveOfWhatIsTooLarge(t *testing.T) {
	b, js := ready(t)
	desk := openDesk(t, js, ingress.Config{})
	dead := deadLetters(t, b.connect())
	publish(t, js, "ORDER.o", nil, created("o"))
	desk.next().Settle(delivery.Dead("too early"))
	letter := buried(t, dead, 1)[0]
	emptied(t, js, messages.StreamOrders)
	inbox, err := js.Stream(within(t), messages.StreamOrders)
	if err != nil {
		t.Fatal(err)
	}
	narrow := inbox.CachedInfo().Config
	narrow.MaxMsgSize = 10
	if _, err := js.UpdateStream(within(t), narrow); err != nil {
		t.Fatal(err)
	}
	if _, err := dead.Redrive(within(t), letter.Sequence); !errors.Is(err, ingress.ErrNotRedrivable) || !strings.Contains(err.Error(), "exceeds maximum") {
		t.Errorf("got %v", err)
	}
	if _, err := dead.Get(within(t), letter.Sequence); err != nil {
		t.Error(err)
	}
}
