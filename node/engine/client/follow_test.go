package client_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/engine/client"
	"github.com/orderly-engine/orderly/node/timeline"
)

// TestFollowSurvivesRestarts: the server goes away and comes back again and again while facts are added, some of them in
// the moment at which it goes, and each is told once, in order.
func TestFollowSurvivesRestarts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(accepted())
	told, ended := w.follow(t.Context(), 0)
	if e := w.next(told); e.Number != 1 {
		t.Fatalf("the story begins with %+v", e)
	}
	want, seq := uint32(2), uint64(1)
	for range 3 {
		for range 5 {
			seq++
			w.append(signalled(seq))
		}
		w.stop()
		w.start()
		seq++
		w.append(signalled(seq))
		for ; want <= w.number; want++ {
			if e := w.next(told); e.Number != want {
				t.Fatalf("entry %d was told, want %d", e.Number, want)
			}
		}
	}
	w.append(done()...)
	for _, kind := range []string{"step_completed", "completed"} {
		if e := w.next(told); e.Kind != kind || e.Number != want {
			t.Fatalf("%s of entry %d was told, want %s of %d", e.Kind, e.Number, kind, want)
		}
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestFollowGoesOn behind the entry that was seen before.
func TestFollowGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(accepted())
	w.append(signalled(2))
	w.append(done()...)
	told, ended := w.follow(t.Context(), 2)
	if e := w.next(told); e.Sequence != 3 || e.Kind != "step_completed" {
		t.Errorf("got %+v", e)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, ended := w.follow(t.Context(), 3); <-ended != nil {
		t.Error("nothing is left to tell, and it failed")
	}
	w.untilConsumers("consumers are left behind", func(n int) bool { return n == 0 })
}

// TestFollowReceived: an order in the inbox is followed from its acceptance on; if it leaves the inbox for the dead
// letters, the wait is over.
func TestFollowReceived(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, ended := w.follow(t.Context(), 0); !errors.Is(<-ended, client.ErrUnknownOrder) {
		t.Error("an order of which nothing is stored is followed")
	}
	seq := w.message()
	told, ended := w.follow(t.Context(), 0)
	w.untilFollowed()
	orders, err := w.js.Stream(t.Context(), messages.StreamOrders)
	w.must(err)
	w.must(orders.DeleteMsg(t.Context(), seq))
	select {
	case err := <-ended:
		if !errors.Is(err, client.ErrUnknownOrder) {
			t.Errorf("got %v", err)
		}
	case <-time.After(patience):
		t.Fatal("an order that went to the dead letters is followed")
	}
	if e, more := <-told; more {
		t.Errorf("%+v was told", e)
	}

	w.message()
	if v, err := w.orders.Order(t.Context(), "o-1"); err != nil || v.Status != timeline.Received {
		t.Errorf("%+v %v", v, err)
	}
	told, ended = w.follow(t.Context(), 0)
	w.append(accepted())
	w.append(done()...)
	if e := w.next(told); e.Kind != "accepted" {
		t.Errorf("got %+v", e)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestFollowStops with its context, also while the server is away and nothing else would end it.
func TestFollowStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(accepted())
	ctx, cancel := context.WithCancel(t.Context())
	told, ended := w.follow(ctx, 0)
	w.next(told)
	w.stop()
	defer w.start()
	select {
	case err := <-ended:
		t.Fatalf("it did not wait for the server: %v", err)
	case <-time.After(away):
	}
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	case <-time.After(patience):
		t.Error("it goes on")
	}
}

// TestFollowAsksLessAndLess whether a silent feed has left something out, until it speaks again.
func TestFollowAsksLessAndLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const day = 24 * time.Hour
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		spoken := false
		next := func(ctx context.Context) (jetstream.Msg, error) {
			if !spoken && time.Since(began) > day {
				spoken = true
				return entry(t, 1, 1, accepted()), nil
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		var asked []time.Duration
		behind := func(context.Context) (bool, error) {
			asked = append(asked, time.Since(began))
			return spoken && time.Since(began) > day+time.Minute, nil
		}
		if err := client.Listen(ctx, next, behind, func([]timeline.Event) error { return nil }); err != nil {
			t.Fatal(err)
		}
		again := slices.IndexFunc(asked, func(at time.Duration) bool { return at > day }) + 1
		for _, first := range [][]time.Duration{asked, asked[again:]} {
			at := first[0] - time.Second
			for i, seconds := range []int{1, 2, 4, 8, 15, 15} {
				if at += time.Duration(seconds) * time.Second; first[i] != at {
					t.Fatalf("asked after %v, want a second, then twice as long each time, and 15 s at most", first[:6])
				}
			}
		}
	})
}

// TestFollowStopsAtGap: what comes behind a message that was lost on its way is not told; the next feed reads it again.
func TestFollowStopsAtGap(t *testing.T) {
	t.Parallel()
	feed := []jetstream.Msg{entry(t, 1, 1, accepted()), entry(t, 2, 2, signalled(2)), entry(t, 4, 3, signalled(3))}
	var told []uint64
	err := client.Listen(t.Context(), func(context.Context) (jetstream.Msg, error) {
		m := feed[0]
		feed = feed[1:]
		return m, nil
	}, nil, func(events []timeline.Event) error {
		told = append(told, events[0].Sequence)
		return nil
	})
	if err != nil || !slices.Equal(told, []uint64{1, 2}) {
		t.Errorf("entries %v were told, error %v: want 1 and 2", told, err)
	}
}

// said is a message of a feed.
type said struct {
	jetstream.Msg
	at   jetstream.SequencePair
	body []byte
}

func (m said) Data() []byte { return m.body }

func (m said) Metadata() (*jetstream.MsgMetadata, error) {
	return &jetstream.MsgMetadata{Sequence: m.at}, nil
}

// entry is the message with which a feed delivers an entry of its number, which is its place in the journal, too.
func entry(t *testing.T, delivered uint64, number uint32, e *messages.Event) jetstream.Msg {
	t.Helper()
	body, err := proto.Marshal(&messages.JournalEntry{OrderId: "o-1", Number: number, Time: timestamppb.Now(), Node: "n", Events: []*messages.Event{e}})
	if err != nil {
		t.Fatal(err)
	}
	return said{at: jetstream.SequencePair{Consumer: delivered, Stream: uint64(number)}, body: body}
}

// TestReconnect ends what a feed is told under: the server does not know the consumer any more.
func TestReconnect(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, release := client.UntilReconnect(t.Context(), w.nc)
	defer release()
	w.stop()
	if err := ctx.Err(); err != nil {
		t.Fatalf("%v while the server is away", err)
	}
	w.start()
	select {
	case <-ctx.Done():
	case <-time.After(patience):
		t.Fatal("the feed goes on")
	}
}

// away is longer than the silence after which the journal is asked, and a question that fails.
const away = 4 * time.Second
