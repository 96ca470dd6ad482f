package client_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/engine/client"
	"github.com/orderly-engine/orderly/node/timeline"
)

// The server restarts several times while entries are appended, some of them shortly before it stops: each entry is yielded
// once, in order.
func TestFollowSurvivesRestarts(t *testing.T) {
	t.Parallel()
	w := newTestServer(t)
	w.append(accepted())
	events, ended := w.follow(t.Context(), 0)
	if e := w.next(events); e.Number != 1 {
		t.Fatalf("the first event is %+v", e)
	}
	want, seq := uint32(2), uint64(1)
	for range 3 {
		for range 5 {
			seq++
			w.append(signalled(seq))
		}
		w.server.Stop()
		w.server.Start()
		seq++
		w.append(signalled(seq))
		for ; want <= w.number; want++ {
			if e := w.next(events); e.Number != want {
				t.Fatalf("got entry %d, want %d", e.Number, want)
			}
		}
	}
	w.append(done()...)
	for _, kind := range []string{"step_completed", "completed"} {
		if e := w.next(events); e.Kind != kind || e.Number != want {
			t.Fatalf("got %s of entry %d, want %s of %d", e.Kind, e.Number, kind, want)
		}
	}
	w.must(<-ended)
}

// FollowFrom yields the entries behind the given sequence.
func TestFollowFrom(t *testing.T) {
	t.Parallel()
	w := newTestServer(t)
	w.append(accepted())
	w.append(signalled(2))
	w.append(done()...)
	events, ended := w.follow(t.Context(), 2)
	if e := w.next(events); e.Sequence != 3 || e.Kind != "step_completed" {
		t.Errorf("got %+v", e)
	}
	w.must(<-ended)
	if _, ended := w.follow(t.Context(), 3); <-ended != nil {
		t.Error("following an ended order behind its last entry failed")
	}
	w.untilConsumers(0)
}

// An order in the inbox is followed from its acceptance on; if it becomes a dead letter, following ends.
func TestFollowReceived(t *testing.T) {
	t.Parallel()
	w := newTestServer(t)
	if _, ended := w.follow(t.Context(), 0); !errors.Is(<-ended, client.ErrUnknownOrder) {
		t.Error("an unknown order is followed")
	}
	seq := w.publishCreated()
	events, ended := w.follow(t.Context(), 0)
	w.untilConsumers(1)
	w.must(w.stream(messages.StreamOrders).DeleteMsg(t.Context(), seq))
	if err := natstest.Receive(t, ended, "the end of following a dead letter"); !errors.Is(err, client.ErrUnknownOrder) {
		t.Errorf("got %v", err)
	}
	if e, more := <-events; more {
		t.Errorf("got %+v", e)
	}

	w.publishCreated()
	if v, err := w.client.Order(t.Context(), "o-1"); err != nil || v.Status != timeline.Received {
		t.Errorf("%+v %v", v, err)
	}
	events, ended = w.follow(t.Context(), 0)
	w.append(accepted())
	w.append(done()...)
	if e := w.next(events); e.Kind != "accepted" {
		t.Errorf("got %+v", e)
	}
	w.must(<-ended)
}

// Follow ends with its context, also while the server is unavailable.
func TestFollowStops(t *testing.T) {
	t.Parallel()
	w := newTestServer(t)
	w.append(accepted())
	ctx, cancel := context.WithCancel(t.Context())
	events, ended := w.follow(ctx, 0)
	w.next(events)
	w.server.Stop()
	select {
	case err := <-ended:
		t.Fatalf("it did not wait for the server: %v", err)
	case <-time.After(outage):
	}
	cancel()
	if err := natstest.Receive(t, ended, "the end with the context"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// While the consumer delivers nothing the journal is checked at growing intervals, which start over after an entry.
func TestFollowChecksAtGrowingIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const day = 24 * time.Hour
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		delivered := false
		next := func(ctx context.Context) (jetstream.Msg, error) {
			if !delivered && time.Since(began) > day {
				delivered = true
				return entry(t, 1, 1, accepted()), nil
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		var checks []time.Duration
		behind := func(context.Context) (bool, error) {
			checks = append(checks, time.Since(began))
			return delivered && time.Since(began) > day+time.Minute, nil
		}
		if err := client.Listen(ctx, next, behind, func([]timeline.Event) error { return nil }); err != nil {
			t.Fatal(err)
		}
		again := slices.IndexFunc(checks, func(at time.Duration) bool { return at > day }) + 1
		for _, first := range [][]time.Duration{checks, checks[again:]} {
			at := first[0] - time.Second
			for i, seconds := range []int{1, 2, 4, 8, 15, 15} {
				if at += time.Duration(seconds) * time.Second; first[i] != at {
					t.Fatalf("checked after %v, want intervals of 1, 2, 4, 8, 15, 15 seconds", first[:6])
				}
			}
		}
	})
}

// Messages after a lost one are not yielded; the next consumer reads them again.
func TestFollowStopsAtGap(t *testing.T) {
	t.Parallel()
	feed := []jetstream.Msg{entry(t, 1, 1, accepted()), entry(t, 2, 2, signalled(2)), entry(t, 4, 3, signalled(3))}
	var yielded []uint64
	err := client.Listen(t.Context(), func(context.Context) (jetstream.Msg, error) {
		m := feed[0]
		feed = feed[1:]
		return m, nil
	}, nil, func(events []timeline.Event) error {
		yielded = append(yielded, events[0].Sequence)
		return nil
	})
	if err != nil || !slices.Equal(yielded, []uint64{1, 2}) {
		t.Errorf("entries %v, error %v: want 1 and 2", yielded, err)
	}
}

// deliveredMsg is a message of a consumer.
type deliveredMsg struct {
	jetstream.Msg
	at   jetstream.SequencePair
	body []byte
}

func (m deliveredMsg) Data() []byte { return m.body }

func (m deliveredMsg) Headers() nats.Header {
	return nats.Header{messages.HeaderEvent: {"x"}, messages.HeaderExpected: {fmt.Sprint(m.at.Stream - 1)}}
}

func (m deliveredMsg) Metadata() (*jetstream.MsgMetadata, error) {
	return &jetstream.MsgMetadata{Sequence: m.at}, nil
}

// entry is the delivered message of a journal entry, whose number is its sequence as well.
func entry(t *testing.T, delivered uint64, number uint32, e *messages.Event) jetstream.Msg {
	t.Helper()
	body, err := proto.Marshal(&messages.JournalEntry{OrderId: "o-1", Number: number, Previous: uint64(number - 1), Time: timestamppb.Now(), Node: "n", Events: []*messages.Event{e}})
	if err != nil {
		t.Fatal(err)
	}
	return deliveredMsg{at: jetstream.SequencePair{Consumer: delivered, Stream: uint64(number)}, body: body}
}

func TestUntilReconnect(t *testing.T) {
	t.Parallel()
	w := newTestServer(t)
	ctx, release := client.UntilReconnect(t.Context(), w.js.Conn())
	defer release()
	w.server.Stop()
	if err := ctx.Err(); err != nil {
		t.Fatalf("%v while the server is unavailable", err)
	}
	w.server.Start()
	natstest.Receive(t, ctx.Done(), "the end of the context")
}

// outage is longer than the idle timeout before a check of the journal plus the timeout of that check.
const outage = 4 * time.Second
