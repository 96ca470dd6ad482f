package ingress_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/ingress/ledger"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// storeEntry stores a journal entry of the order with these events and returns its sequence.
func storeEntry(t *testing.T, js jetstream.JetStream, id, events string) uint64 {
	t.Helper()
	return storeMsg(t, js, messages.SubjectEvent+id, nats.Header{messages.HeaderEvent: {events}, messages.HeaderExpected: {fmt.Sprint(lastOn(t, js, id))}}, "entry")
}

// lastOn is the last sequence on the order's subject, 0 for none.
func lastOn(t *testing.T, js jetstream.JetStream, id string) uint64 {
	t.Helper()
	m, err := openStream(t, js, messages.StreamEvents).GetLastMsgForSubject(natstest.Context(t), messages.SubjectEvent+id)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return m.Sequence
}

// TestRetentionIgnoresForeignMessages: a message that says that the order has ended, and that no node stored, deletes nothing.
func TestRetentionIgnoresForeignMessages(t *testing.T) {
	_, js := startServer(t)
	storeEntry(t, js, "running", "accepted")
	storeMsg(t, js, messages.SubjectEvent+"running", nats.Header{messages.HeaderEvent: {"completed"}}, "foreign")
	if n := sweep(t, js, 2*time.Hour); n != 0 {
		t.Errorf("%d orders deleted", n)
	}
	checkStored(t, js, messages.StreamEvents, messages.SubjectEvent, map[string]bool{"running": true})
}

// sweep deletes orders that ended more than an hour before now plus later.
func sweep(t *testing.T, js jetstream.JetStream, later time.Duration) int {
	t.Helper()
	r, err := ingress.NewRetention(js, time.Hour, discardLog())
	if err != nil {
		t.Fatal(err)
	}
	n, err := r.Sweep(natstest.Context(t), time.Now().Add(later))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// checkStored checks whether the stream stores a message on each subject, which is the prefix with the key.
func checkStored(t *testing.T, js jetstream.JetStream, stream, prefix string, want map[string]bool) {
	t.Helper()
	s := openStream(t, js, stream)
	for id, want := range want {
		if _, err := s.GetLastMsgForSubject(natstest.Context(t), prefix+id); (err == nil) != want {
			t.Errorf("subject %s: stored %t, want %t (%v)", prefix+id, err == nil, want, err)
		}
	}
}

func TestRetentionDeletesOnlyEndedOrders(t *testing.T) {
	_, js := startServer(t)
	for _, e := range []struct{ id, events string }{
		{"done", "accepted"}, {"parked", "accepted,parked"}, {"rejected", "accepted,rejected"}, {"attention", "accepted,step_rejected"},
		{"done", "step_completed,completed"}, {"attention", "attention"}, {"pending", "accepted"}, {"pending", "cancelled"},
	} {
		storeEntry(t, js, e.id, e.events)
	}
	storeOrder(t, js, "pending")
	if n := sweep(t, js, 59*time.Minute); n != 0 {
		t.Errorf("%d orders deleted too early", n)
	}
	for _, want := range []int{2, 0} {
		if n := sweep(t, js, 61*time.Minute); n != want {
			t.Errorf("%d orders deleted, want %d", n, want)
		}
	}
	checkStored(t, js, messages.StreamEvents, messages.SubjectEvent,
		map[string]bool{"done": false, "rejected": false, "parked": true, "attention": true, "pending": true})
	if n := countStored(t, js, messages.StreamEvents); n != 5 {
		t.Errorf("%d entries are left, want 5", n)
	}
	if _, err := ingress.NewRetention(js, 0, nil); err == nil {
		t.Error("a retention of 0 is accepted")
	}
}

// The timer of an ended order is deleted, but not the timer of a later order of the same id.
func TestRetentionDeletesTimers(t *testing.T) {
	_, js := startServer(t)
	park := func(id string) {
		t.Helper()
		seq := storeEntry(t, js, id, "accepted,parked")
		timer := messages.Timer{OrderID: messages.OrderID(id), Park: seq, At: time.Now().Add(time.Hour), Snapshot: []byte("secret")}
		if err := ingress.NewTimers(js, nil).Schedule(natstest.Context(t), timer); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"done", "again", "parked"} {
		park(id)
	}
	for _, id := range []string{"done", "again"} {
		storeEntry(t, js, id, "signalled,resumed,completed")
	}
	park("again")
	if n := sweep(t, js, 61*time.Minute); n != 2 {
		t.Errorf("%d orders deleted, want 2", n)
	}
	checkStored(t, js, messages.StreamTimers, messages.SubjectTimer, map[string]bool{"done": false, "again": true, "parked": true})
}

// However a sweep ends, it leaves no consumer on the server, where each makes every append more expensive.
func TestSweepLeavesNoConsumer(t *testing.T) {
	_, js := startServer(t)
	storeEntry(t, js, "done", "accepted,completed")
	storeEntry(t, js, "parked", "accepted,parked")
	ctx, cancel := context.WithCancel(natstest.Context(t))
	defer cancel()
	for _, c := range []struct {
		name string
		js   jetstream.JetStream
		ctx  context.Context
		want error
	}{
		{"failed purge", failingPurge{js, func() {}}, natstest.Context(t), errInjected},
		{"ended context", failingPurge{js, cancel}, ctx, errInjected},
		{"success", js, natstest.Context(t), nil},
	} {
		retention, err := ingress.NewRetention(c.js, time.Hour, discardLog())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := retention.Sweep(c.ctx, time.Now().Add(2*time.Hour)); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		}
		natstest.Eventually(t, c.name+": no consumer is left", func() bool {
			return openStream(t, js, messages.StreamEvents).CachedInfo().State.Consumers == 0
		})
	}
}

// failingPurge is a JetStream on which purges fail after a call of before.
type failingPurge struct {
	jetstream.JetStream
	before func()
}

func (f failingPurge) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	s, err := f.JetStream.Stream(ctx, name)
	return failingPurgeStream{s, f.before}, err
}

type failingPurgeStream struct {
	jetstream.Stream
	before func()
}

func (f failingPurgeStream) Purge(context.Context, ...jetstream.StreamPurgeOpt) error {
	f.before()
	return errInjected
}

// storeNamed stores a journal entry with an event that may name a message of the inbox.
func storeNamed(t *testing.T, js jetstream.JetStream, id, events string, event *messages.Event) {
	t.Helper()
	body, err := proto.Marshal(&messages.JournalEntry{OrderId: id, Events: []*messages.Event{event}})
	if err != nil {
		t.Fatal(err)
	}
	header := nats.Header{messages.HeaderEvent: {events}, messages.HeaderExpected: {fmt.Sprint(lastOn(t, js, id))}}
	storeMsg(t, js, messages.SubjectEvent+id, header, string(body))
}

// The ledger has every message that a deleted history names; without a ledger nothing is deleted.
func TestRetentionKeepsTheEvidence(t *testing.T) {
	_, js := startServer(t)
	source := func(seq uint64) *messages.Source {
		return &messages.Source{Stream: messages.StreamOrders, Sequence: seq}
	}
	accepted := func(seq uint64) *messages.Event {
		return &messages.Event{Kind: &messages.Event_Accepted{Accepted: &messages.OrderAccepted{Driver: source(seq)}}}
	}
	storeNamed(t, js, "o", "accepted", accepted(3))
	storeNamed(t, js, "o", "cancel_requested", &messages.Event{Kind: &messages.Event_CancelRequested{CancelRequested: &messages.CancelRequested{Source: source(7)}}})
	storeNamed(t, js, "running", "accepted", accepted(4))
	storeNamed(t, js, "o", "resumed,cancelled", &messages.Event{Kind: &messages.Event_Resumed{Resumed: &messages.OrderResumed{
		Driver: &messages.Source{Stream: messages.StreamTimers, Sequence: 9},
	}}})
	if n := sweep(t, js, 61*time.Minute); n != 1 {
		t.Errorf("%d orders deleted", n)
	}
	if got := readLedger(t, js); got.Counts != (ledger.Counts{HistoryDeleted: 2}) || !got.Set.Has(3) || !got.Set.Has(7) {
		t.Errorf("%v %+v", got.Set, got.Counts)
	}
	storeNamed(t, js, "done", "accepted,rejected", accepted(8))
	if err := js.DeleteStream(natstest.Context(t), messages.StreamLedger); err != nil {
		t.Fatal(err)
	}
	r, err := ingress.NewRetention(js, time.Hour, discardLog())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := r.Sweep(natstest.Context(t), time.Now().Add(61*time.Minute)); n != 0 || err == nil {
		t.Errorf("%d orders deleted, %v", n, err)
	}
}

// Orders are forgotten by the server's clock, and not at all while it differs from the node's by more than a minute.
func TestRetentionByTheServersClock(t *testing.T) {
	for behind, want := range map[time.Duration]struct {
		deleted int
		refused bool
	}{
		0: {}, 40 * time.Second: {}, 10 * time.Minute: {refused: true}, -40 * time.Second: {deleted: 1}, -10 * time.Minute: {refused: true},
	} {
		_, js := startServer(t)
		storeEntry(t, js, "o", "accepted,completed")
		r, err := ingress.NewRetention(js, 30*time.Second, discardLog())
		if err != nil {
			t.Fatal(err)
		}
		if n, err := r.SweepBy(natstest.Context(t), ingress.ClockBehind(behind)); n != want.deleted || (err != nil) != want.refused {
			t.Errorf("a server that is %s behind: %d orders deleted, %v", behind, n, err)
		}
	}
}
