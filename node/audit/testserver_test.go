package audit_test

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/ingress/ledger"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/audit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testServer is a server with the streams, to which a test writes the messages of a node.
type testServer struct {
	testing.TB
	js     jetstream.JetStream
	mu     sync.Mutex
	number map[string]uint32
	// last is the journal sequence of each order's last entry: of its park, after it parked.
	last map[string]uint64
}

func newTestServer(t testing.TB) *testServer {
	t.Helper()
	w := &testServer{TB: t, js: natstest.Start(t).JetStream(), number: map[string]uint32{}, last: map[string]uint64{}}
	w.must(ingress.EnsureStreams(t.Context(), w.js, ingress.Streams{}))
	return w
}

func (w *testServer) must(err error) {
	w.Helper()
	if err != nil {
		panic(err)
	}
}

// store publishes and returns the sequence.
func (w *testServer) store(subject string, body []byte, header ...string) uint64 {
	w.Helper()
	m := nats.NewMsg(subject)
	m.Data = body
	for i := 0; i < len(header); i += 2 {
		m.Header.Set(header[i], header[i+1])
	}
	ack, err := w.js.PublishMsg(w.Context(), m)
	w.must(err)
	return ack.Sequence
}

// message publishes a message about the order to the inbox.
func (w *testServer) message(id string) uint64 {
	return w.store(messages.SubjectOrder+id, []byte("{}"))
}

// remove removes a message, as an acknowledgement does.
func (w *testServer) remove(stream string, seq uint64) {
	w.Helper()
	s, err := w.js.Stream(w.Context(), stream)
	w.must(err)
	w.must(s.DeleteMsg(w.Context(), seq))
}

func (w *testServer) ack(seq uint64) { w.Helper(); w.remove(messages.StreamOrders, seq) }

// append journals one entry.
func (w *testServer) append(id string, events ...*messages.Event) {
	w.Helper()
	w.mu.Lock()
	w.number[id]++
	e := &messages.JournalEntry{OrderId: id, Number: w.number[id], Previous: w.last[id], Time: timestamppb.Now(), Events: events}
	w.mu.Unlock()
	seq := w.entry(id, e)
	w.mu.Lock()
	w.last[id] = seq
	w.mu.Unlock()
}

func (w *testServer) entry(id string, e *messages.JournalEntry) uint64 {
	w.Helper()
	body, err := proto.Marshal(e)
	w.must(err)
	return w.store(messages.SubjectEvent+id, body, messages.HeaderEvent, "x", messages.HeaderExpected, fmt.Sprint(w.lastOn(id)))
}

// lastOn is the last sequence on the order's subject, 0 for none.
func (w *testServer) lastOn(id string) uint64 {
	s, err := w.js.Stream(w.Context(), messages.StreamEvents)
	w.must(err)
	m, err := s.GetLastMsgForSubject(w.Context(), messages.SubjectEvent+id)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0
	}
	w.must(err)
	return m.Sequence
}

// dead stores a dead letter about an inbox message.
func (w *testServer) dead(seq uint64) {
	w.Helper()
	w.store(messages.SubjectDead+messages.DeadUnknown, nil,
		messages.HeaderDeadReason, "no order id", messages.HeaderDeadSubject, messages.SubjectOrder+"~",
		messages.HeaderDeadStream, messages.StreamOrders, messages.HeaderDeadSequence, fmt.Sprint(seq))
}

// settled notes in the ledger what became of messages.
func (w *testServer) settled(kind messages.LedgerKind, sequences ...uint64) {
	w.Helper()
	l := ledger.New(w.js, slog.New(slog.DiscardHandler))
	w.must(l.Append(w.Context(), kind, ledger.NewSet(sequences)))
}

// duplicate is a message without effect.
func (w *testServer) duplicate(id string) {
	w.Helper()
	seq := w.message(id)
	w.settled(withoutEffect, seq)
	w.ack(seq)
}

const (
	withoutEffect  = messages.LedgerKind_LEDGER_KIND_WITHOUT_EFFECT
	deadLettered   = messages.LedgerKind_LEDGER_KIND_DEAD_LETTERED
	historyDeleted = messages.LedgerKind_LEDGER_KIND_HISTORY_DELETED
	writtenOff     = messages.LedgerKind_LEDGER_KIND_WRITTEN_OFF
)

// deleteHistory deletes the history of an order as the retention does; it names these messages.
func (w *testServer) deleteHistory(id string, named ...uint64) {
	w.Helper()
	w.settled(historyDeleted, named...)
	w.purge(messages.StreamEvents, messages.SubjectEvent+id)
}

// schedule stores the timer of a parked order.
func (w *testServer) schedule(id string) { w.Helper(); w.scheduleFor(id, w.park(id)) }

// scheduleFor stores the timer of a park.
func (w *testServer) scheduleFor(id string, park uint64) { w.Helper(); w.scheduleWith(id, park, nil) }

// scheduleWith stores the timer of a park, with that body.
func (w *testServer) scheduleWith(id string, park uint64, body []byte) {
	w.Helper()
	w.store(messages.SubjectTimer+id, body, "Nats-Schedule", "@at "+time.Now().Add(time.Hour).UTC().Format(time.RFC3339Nano),
		"Nats-Schedule-Target", messages.SubjectWake+id, messages.HeaderPark, fmt.Sprint(park))
}

// park is the journal sequence of the order's last entry, a park.
func (w *testServer) park(id string) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last[id]
}

// fire does what the server does when the timer is due, and returns the sequence of the wake-up.
func (w *testServer) fire(id string) uint64 {
	w.Helper()
	seq := w.store(messages.SubjectWake+id, nil, messages.HeaderPark, fmt.Sprint(w.park(id)))
	w.purge(messages.StreamTimers, messages.SubjectTimer+id)
	return seq
}

func (w *testServer) purge(stream, subject string) {
	w.Helper()
	s, err := w.js.Stream(w.Context(), stream)
	w.must(err)
	w.must(s.Purge(w.Context(), jetstream.WithPurgeSubject(subject)))
}

// accept publishes an order and journals that it was accepted.
func (w *testServer) accept(id string) uint64 {
	w.Helper()
	seq := w.message(id)
	w.append(id, accepted(id, seq))
	return seq
}

// complete completes an order that was accepted.
func (w *testServer) complete(id string, seq uint64) {
	w.Helper()
	w.append(id, step("first"))
	w.append(id, step("second"), completed())
	w.ack(seq)
}

// resume ends the order's park with a signal, and returns the signal's sequence.
func (w *testServer) resume(id string) uint64 {
	w.Helper()
	seq := w.message(id)
	w.append(id, signal(inbox(seq)), resumed(inbox(seq)))
	return seq
}

func (w *testServer) read() *audit.Report {
	w.Helper()
	r, err := audit.Read(w.Context(), w.js)
	w.must(err)
	return r
}

func accepted(id string, seq uint64) *messages.Event {
	return &messages.Event{Kind: &messages.Event_Accepted{Accepted: &messages.OrderAccepted{
		Order:  &messages.OrderCreated{OrderId: id},
		Plan:   &messages.Plan{Name: "test", Version: 1, Steps: []*messages.Step{{Name: "first", Undo: "sim:"}, {Name: "second"}}},
		Driver: inbox(seq), Incarnation: "i",
	}}}
}

func inbox(seq uint64) *messages.Source {
	return &messages.Source{Stream: messages.StreamOrders, Sequence: seq}
}

func wake(seq uint64) *messages.Source {
	return &messages.Source{Stream: messages.StreamTimers, Sequence: seq}
}

func step(name string) *messages.Event {
	return &messages.Event{Kind: &messages.Event_StepCompleted{StepCompleted: &messages.StepCompleted{Step: name}}}
}

func undone(name string) *messages.Event {
	return &messages.Event{Kind: &messages.Event_StepUndone{StepUndone: &messages.StepUndone{Step: name}}}
}

func refused(name string) *messages.Event {
	return &messages.Event{Kind: &messages.Event_StepRejected{StepRejected: &messages.StepRejected{Step: name}}}
}

func cancel(seq uint64) *messages.Event {
	return &messages.Event{Kind: &messages.Event_CancelRequested{CancelRequested: &messages.CancelRequested{Source: inbox(seq)}}}
}

func signal(src *messages.Source) *messages.Event {
	return &messages.Event{Kind: &messages.Event_Signalled{Signalled: &messages.Signalled{Source: src, Name: "paid"}}}
}

func recorded(seq uint64) *messages.Event {
	return &messages.Event{Kind: &messages.Event_Recorded{Recorded: &messages.MessageRecorded{Source: inbox(seq), Type: "order.retry"}}}
}

func parked() *messages.Event {
	return &messages.Event{Kind: &messages.Event_Parked{Parked: &messages.OrderParked{Until: timestamppb.New(time.Unix(1<<32, 0))}}}
}

func pending() *messages.Event {
	return &messages.Event{Kind: &messages.Event_StepPending{StepPending: &messages.StepPending{Step: "first", Signal: "paid", Deadline: timestamppb.New(time.Unix(1<<32, 0))}}}
}

func failed() *messages.Event {
	return &messages.Event{Kind: &messages.Event_StepFailed{StepFailed: &messages.StepFailed{Step: "first", Attempt: 1, RetryAt: timestamppb.New(time.Unix(1<<32, 0))}}}
}

func resumed(driver *messages.Source) *messages.Event {
	return &messages.Event{Kind: &messages.Event_Resumed{Resumed: &messages.OrderResumed{Driver: driver, Incarnation: "j"}}}
}

func attention() *messages.Event { return attentionFor("first", messages.Do, "no responders") }

func attentionFor(step string, d messages.Direction, cause string) *messages.Event {
	return &messages.Event{Kind: &messages.Event_Attention{Attention: &messages.OrderNeedsAttention{
		Step: step, Direction: d, Kind: messages.Transient, Cause: cause,
	}}}
}

func completed() *messages.Event {
	return &messages.Event{Kind: &messages.Event_Completed{Completed: &messages.OrderCompleted{}}}
}

func rejected() *messages.Event {
	return &messages.Event{Kind: &messages.Event_Rejected{Rejected: &messages.OrderRejected{}}}
}

func cancelled() *messages.Event {
	return &messages.Event{Kind: &messages.Event_Cancelled{Cancelled: &messages.OrderCancelled{}}}
}
