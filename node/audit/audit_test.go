package audit_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/audit"
)

func TestEmptyIsBalanced(t *testing.T) {
	r := newTestServer(t).read()
	if !r.Balanced() || r.Orders != (audit.Orders{}) || r.Inbox != (audit.Inbox{}) {
		t.Errorf("%+v", r)
	}
}

func TestEveryOutcomeIsCounted(t *testing.T) {
	w := newTestServer(t)
	w.complete("completed", w.accept("completed"))

	seq := w.accept("rejected")
	w.append("rejected", refused("first"), rejected())
	w.ack(seq)

	seq = w.accept("cancelled")
	decision := w.message("cancelled")
	w.append("cancelled", cancel(decision))
	w.ack(decision)
	w.append("cancelled", step("first"))
	w.append("cancelled", undone("first"), cancelled())
	w.ack(seq)

	w.append("inflight", accepted("inflight", w.message("inflight")))

	seq = w.accept("parked")
	w.append("parked", pending(), parked())
	w.schedule("parked")
	w.ack(seq)

	// A crash between the journal and the schedule: the redelivered driver repairs it.
	w.accept("unscheduled")
	w.append("unscheduled", failed(), parked())

	seq = w.accept("waking")
	w.append("waking", parked())
	w.schedule("waking")
	w.ack(seq)
	w.fire("waking")

	seq = w.accept("woken")
	w.append("woken", parked())
	w.schedule("woken")
	w.ack(seq)
	w.append("woken", resumed(wake(w.fire("woken"))))

	seq = w.accept("attention")
	w.append("attention", attention())
	w.ack(seq)

	seq = w.message("bad")
	w.dead(seq)
	w.ack(seq)
	w.dead(w.message("worse")) // not yet terminated
	w.duplicate("completed")
	w.message("new")

	r := w.read()
	if !r.Balanced() {
		t.Fatalf("not balanced: %+v", r.Violations)
	}
	if want := (audit.Orders{Accepted: 9, Completed: 1, Rejected: 1, Cancelled: 1, InFlight: 2, Parked: 3, Attention: 1,
		ParkedFor: audit.ParkedFor{Pending: 1, Retry: 1, Outage: 1}}); r.Orders != want {
		t.Errorf("orders %+v, want %+v", r.Orders, want)
	}
	want := audit.Inbox{EverStored: 14, Waiting: 1, Held: 3, Accepted: 7, Recorded: 1, DeadLettered: 1, WithoutEffect: 1}
	if r.Inbox != want {
		t.Errorf("inbox %+v, want %+v", r.Inbox, want)
	}
	if want := (audit.Timers{Stored: 3, Scheduled: 1, Waking: 1, Stale: 1, Unscheduled: 1}); r.Timers != want {
		t.Errorf("timers %+v, want %+v", r.Timers, want)
	}
	if want := []audit.Cause{{Step: "first", Direction: "do", Kind: "transient", Cause: "no responders", Orders: 1}}; !slices.Equal(r.AttentionCauses, want) {
		t.Errorf("causes %+v, want %+v", r.AttentionCauses, want)
	}
	if r.Dead != (audit.StreamCount{Messages: 2}) || r.Journal.Removed != 0 {
		t.Errorf("dead letters %+v, journal %+v", r.Dead, r.Journal)
	}
}

// A message may be dead-lettered, not terminated by a crash, and delivered again to an order that exists by then.
func TestDeadLetteredAndRecordedIsLegal(t *testing.T) {
	w := newTestServer(t)
	early := w.message("o")
	w.dead(early)
	w.accept("o")
	w.append("o", cancel(early))
	w.ack(early)
	if r := w.read(); !r.Balanced() || r.Inbox.Recorded != 1 || r.Inbox.DeadLettered != 0 || r.Inbox.Held != 1 {
		t.Errorf("%+v %+v", r.Inbox, r.Violations)
	}
}

func TestViolations(t *testing.T) {
	for name, test := range map[string]struct {
		make func(*testServer)
		id   messages.OrderID
		says string
	}{
		"driver gone": {func(w *testServer) { w.ack(w.accept("o")) }, "o", "running, and its driver, message 1 of ORDERS, is not stored"},
		"driver of the undoing gone": {func(w *testServer) {
			seq := w.accept("o")
			w.append("o", step("first"))
			w.append("o", refused("second"))
			w.ack(seq)
		}, "o", "compensating, and its driver"},
		"wake-up gone": {func(w *testServer) {
			seq := w.accept("o")
			w.append("o", parked())
			w.schedule("o")
			w.ack(seq)
			woken := w.fire("o")
			w.append("o", resumed(wake(woken)))
			w.remove(messages.StreamTimers, woken)
		}, "o", "its driver, message 2 of ORDER_TIMERS, is not stored"},
		"parked without a timer": {func(w *testServer) {
			seq := w.accept("o")
			w.append("o", parked())
			w.ack(seq)
		}, "o", "nothing will wake it"},
		"timer of an earlier park": {func(w *testServer) {
			seq := w.accept("o")
			w.append("o", parked())
			w.schedule("o")
			w.ack(seq)
			decision := w.resume("o")
			w.append("o", parked())
			w.ack(decision)
		}, "o", "(only one of an earlier park, 2)"},
		"timer of no order":            {func(w *testServer) { w.scheduleFor("o", 0) }, "o", "it was never accepted"},
		"timer of an order to come":    {func(w *testServer) { w.scheduleFor("o", 99) }, "o", "it was never accepted"},
		"timer of another order":       {func(w *testServer) { w.complete("p", w.accept("p")); w.scheduleFor("o", 2) }, "o", "for a park at 2 of ORDER_EVENTS, and it was never accepted"},
		"wake-up of no order":          {func(w *testServer) { w.store("ORDER_WAKE.o", nil, messages.HeaderPark, "7") }, "o", "it was never accepted"},
		"timer of a park that was not": {func(w *testServer) { w.accept("o"); w.scheduleFor("o", 99) }, "o", "its timer is for a park at 99 of ORDER_EVENTS, and its history ends at 1"},
		"timer without a time": {func(w *testServer) {
			w.accept("o")
			w.append("o", parked())
			w.store("ORDER_TIMER.o", nil, messages.HeaderPark, "2")
		}, "o", "its timer has no due time"},
		"another order's timer": {func(w *testServer) {
			seq := w.accept("o")
			w.append("o", parked())
			w.schedule("other")
			w.ack(seq)
		}, "o", "nothing will wake it"},
		"illegal step":   {func(w *testServer) { w.accept("o"); w.append("o", step("second")) }, "o", "illegal history"},
		"ended early":    {func(w *testServer) { w.accept("o"); w.append("o", completed()) }, "o", "illegal history"},
		"no beginning":   {func(w *testServer) { w.append("o", step("first")) }, "o", "illegal history"},
		"accepted again": {func(w *testServer) { seq := w.accept("o"); w.append("o", accepted("o", seq)) }, "o", "illegal history"},
		"entry removed": {func(w *testServer) {
			w.accept("o")
			w.append("o", step("first"))
			w.append("o", step("second"), completed())
			w.remove(messages.StreamEvents, 2)
		}, "o", "want number 2"},
		"wrong checkpoint": {func(w *testServer) {
			seq := w.accept("o")
			w.append("o", step("first"))
			w.entry("o", &messages.JournalEntry{OrderId: "o", Number: 3, Previous: w.last["o"], Time: timestamppb.Now(), Events: []*messages.Event{step("second"), completed()},
				Checkpoint: &messages.Checkpoint{Version: messages.CheckpointVersion, First: 1, Status: "running", Driver: inbox(seq), Owner: "i"}})
		}, "o", "entry 3: the checkpoint differs from the state of the entries before it"},
		"after the end": {func(w *testServer) { w.complete("o", w.accept("o")); w.append("o", step("second")) }, "o", "entry 4 follows the end"},
		"message of the future": {func(w *testServer) { w.append("o", accepted("o", 7)); w.complete("p", w.accept("p")) }, "o",
			"names message 7 of ORDERS, which has stored only 2"},
		"no source":      {func(w *testServer) { w.append("o", accepted("o", 0)) }, "o", "does not name the inbox message"},
		"foreign source": {func(w *testServer) { w.accept("o"); w.append("o", signal(wake(3))) }, "o", "want stream ORDERS"},
		"one message, two orders": {func(w *testServer) {
			seq := w.accept("o")
			w.append("p", accepted("p", seq))
		}, "", "took effect on order"},
		"one message, twice": {func(w *testServer) {
			w.accept("o")
			seq := w.message("o")
			w.append("o", recorded(seq))
			w.append("o", recorded(seq))
		}, "o", "took effect twice"},
		"dead letter of the future": {func(w *testServer) { w.dead(9) }, "", "a dead letter names message 9"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newTestServer(t)
			w.complete("good", func() uint64 { test.make(w); return w.accept("good") }())
			r := w.read()
			if r.Balanced() || r.ViolationCount == 0 {
				t.Fatalf("balanced: %+v", r)
			}
			for _, o := range r.Violations {
				if (o.OrderID == test.id || test.id == "") && strings.Contains(o.Reason, test.says) {
					if r.Orders.Completed < 1 {
						t.Errorf("the good order is not counted: %+v", r.Orders)
					}
					return
				}
			}
			t.Errorf("no violation of %q says %q: %+v", test.id, test.says, r.Violations)
		})
	}
}

// An illegal history is one violation, also if more entries follow; a stranded order is not also counted as unscheduled.
func TestOneViolationPerOrder(t *testing.T) {
	w := newTestServer(t)
	w.accept("illegal")
	w.append("illegal", step("second"))
	w.append("illegal", step("first"))
	seq := w.accept("stranded")
	w.append("stranded", parked())
	w.ack(seq)
	if r := w.read(); r.ViolationCount != 2 || r.Timers != (audit.Timers{}) {
		t.Errorf("timers %+v, violations %+v", r.Timers, r.Violations)
	}
}

func TestViolationsBeyondTheListAreCounted(t *testing.T) {
	w := newTestServer(t)
	for i := range audit.MaxListed + 5 {
		w.append(fmt.Sprint("o-", i), step("first"))
		w.store("ORDER_DEAD.o", nil)
	}
	r := w.read()
	if r.ViolationCount != audit.MaxListed+5 || len(r.Violations) != audit.MaxListed {
		t.Errorf("%d violations counted, %d listed", r.ViolationCount, len(r.Violations))
	}
	if r.WarningCount != audit.MaxListed+5 || len(r.Warnings) != audit.MaxListed {
		t.Errorf("%d warnings counted, %d listed", r.WarningCount, len(r.Warnings))
	}
}

// TestForeignMessages: what no node stored in the journal, among the timers and the plans is a warning for each stream, and no
// violation, before an order, during it and after its end; the report lists it for a repair.
func TestForeignMessages(t *testing.T) {
	w := newTestServer(t)
	var want []audit.ForeignMessage
	foreign := func(stream, subject string, body []byte, header ...string) {
		want = append(want, audit.ForeignMessage{Stream: stream, Sequence: w.store(subject, body, header...), Subject: subject})
	}
	everywhere := func() {
		foreign(messages.StreamEvents, "ORDER_EVENT.o", []byte(`{"stream":"ORDERS","seq":17}`))
		foreign(messages.StreamEvents, "ORDER_EVENT.o", nil, messages.HeaderEvent, "completed")
		foreign(messages.StreamEvents, "ORDER_EVENT.o", []byte{0xff}, messages.HeaderEvent, "completed", messages.HeaderExpected, fmt.Sprint(w.lastOn("o")))
		for _, e := range []*messages.JournalEntry{
			{OrderId: "p", Number: 2, Previous: w.last["o"], Events: []*messages.Event{step("first")}},
			{OrderId: "o", Number: w.number["o"] + 7, Previous: w.last["o"], Events: []*messages.Event{step("first")}},
			{OrderId: "o", Number: w.number["o"] + 7, Previous: w.lastOn("o") + 1000, Events: []*messages.Event{step("first")}},
		} {
			seq := w.entry("o", e)
			want = append(want, audit.ForeignMessage{Stream: messages.StreamEvents, Sequence: seq, Subject: "ORDER_EVENT.o"})
		}
	}
	everywhere()
	seq := w.accept("o")
	everywhere()
	w.complete("o", seq)
	everywhere()
	foreign(messages.StreamEvents, "ORDER_EVENT.~", nil)
	foreign(messages.StreamEvents, "ORDER_EVENT.no-order", nil)
	foreign(messages.StreamTimers, "ORDER_TIMER.~", nil)
	foreign(messages.StreamTimers, "ORDER_TIMER.o", []byte(`{"stream":"ORDERS","seq":17}`))
	foreign(messages.StreamPlans, "ORDER_PLAN.order.2", []byte(`{"stream":"ORDERS","seq":17}`))
	r := w.read()
	if !r.Balanced() || r.Orders.Accepted != 1 || r.Orders.Completed != 1 || r.ForeignCount != len(want) || r.WarningCount != 3 {
		t.Fatalf("got %+v", r)
	}
	order := func(a, b audit.ForeignMessage) int {
		return cmp.Or(cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Sequence, b.Sequence))
	}
	slices.SortFunc(want, order)
	slices.SortFunc(r.Foreign, order)
	if !slices.Equal(r.Foreign, want) {
		t.Errorf("got  %v\nwant %v", r.Foreign, want)
	}
	if says := `ORDER_EVENTS stores 20 messages that no node stored (sequences 1, 2, 3, 4, 5, …)`; !strings.HasPrefix(r.Warnings[0], says) {
		t.Errorf("got %q, want %q", r.Warnings[0], says)
	}
}

// TestForeignMessageCancelsATimer: the server fires only the last message of a subject. The order is lost until a repair, which
// the report says.
func TestForeignMessageCancelsATimer(t *testing.T) {
	w := newTestServer(t)
	seq := w.accept("o")
	w.append("o", parked())
	w.schedule("o")
	w.ack(seq)
	if r := w.read(); !r.Balanced() {
		t.Fatalf("got %+v", r)
	}
	w.store("ORDER_TIMER.o", []byte(`{"stream":"ORDERS","seq":17}`))
	r := w.read()
	if r.Balanced() || r.ForeignCount != 1 || r.Foreign[0].Cancelled != "o" || !strings.Contains(r.Violations[0].Reason, "nothing will wake it") {
		t.Errorf("got %+v", r)
	}
}

// TestForeignDeadLetters: a message in the dead-letter stream that no node stored is a warning and not a violation, even if
// it names an inbox message; one with all headers of a node's dead letter counts as such.
func TestForeignDeadLetters(t *testing.T) {
	w := newTestServer(t)
	w.complete("good", w.accept("good"))
	bad := w.message("bad")
	w.store("ORDER_DEAD.o", []byte("by hand"))
	w.store("ORDER_DEAD.o", nil, messages.HeaderDeadReason, "I say", messages.HeaderDeadStream, messages.StreamOrders, messages.HeaderDeadSequence, "99")
	w.store("ORDER_DEAD.o", nil, messages.HeaderDeadReason, "I say", messages.HeaderDeadStream, messages.StreamOrders,
		messages.HeaderDeadSubject, "ORDER.o", messages.HeaderDeadSequence, "-1")
	r := w.read()
	if !r.Balanced() || r.WarningCount != 3 || len(r.Warnings) != 3 || r.Inbox.DeadLettered != 0 || r.Inbox.Waiting != 1 || r.Dead.Messages != 3 {
		t.Fatalf("got %+v", r)
	}
	for i, says := range []string{"header Orderly-Dead-Reason is missing", "header Orderly-Dead-Subject is missing", `header Orderly-Dead-Sequence is "-1"`} {
		if got := r.Warnings[i]; !strings.HasPrefix(got, fmt.Sprintf("message %d of ORDER_DEAD is not a node's dead letter ", i+1)) || !strings.Contains(got, says) ||
			!strings.HasSuffix(got, `remove it with "orderly repair"`) {
			t.Errorf("no %q in %s", says, got)
		}
	}
	w.dead(bad)
	w.ack(bad)
	if r := w.read(); !r.Balanced() || r.WarningCount != 3 || r.Inbox.DeadLettered != 1 || r.Inbox.Waiting != 0 {
		t.Errorf("got %+v", r)
	}
	w.dead(99)
	if r := w.read(); r.Balanced() || r.ViolationCount != 1 || r.WarningCount != 3 {
		t.Errorf("got %+v", r)
	}
}

// TestRunningSystem audits while orders are accepted, park, wake and end: there is no violation, and every message that left
// the inbox has a trace.
func TestRunningSystem(t *testing.T) {
	for _, retention := range []bool{false, true} {
		t.Run(fmt.Sprintf("retention=%v", retention), func(t *testing.T) {
			w := newTestServer(t)
			stop := make(chan struct{})
			var running sync.WaitGroup
			var done atomic.Int64
			for worker := range 8 {
				running.Go(func() {
					for n := 0; ; n++ {
						select {
						case <-stop:
							return
						default:
							runOrder(w, fmt.Sprintf("o-%d-%d", worker, n), n, retention)
							done.Add(1)
						}
					}
				})
			}
			defer running.Wait()
			defer close(stop)
			began := time.Now()
			for reads := 0; time.Since(began) < 2*time.Second || done.Load() < 50 || reads < 3; reads++ {
				r := w.read()
				if !r.Balanced() {
					t.Fatalf("read %d: %+v %+v", reads, r.Orders, r.Violations)
				}
				in := r.Inbox
				sum := in.Waiting + in.Held + in.Accepted + in.Recorded + in.DeadLettered + in.WithoutEffect + in.HistoryDeleted
				if sum != in.EverStored || !retention && in.HistoryDeleted > 0 || reads > 2 && (in.WithoutEffect == 0 || retention && in.HistoryDeleted == 0) {
					t.Fatalf("read %d: %+v", reads, in)
				}
			}
		})
	}
}

// runOrder takes one order through a life that depends on n: every fact is stored before the message that caused it is removed.
func runOrder(w *testServer, id string, n int, retention bool) {
	seq := w.accept(id)
	named := []uint64{seq}
	switch n % 3 {
	case 0:
		w.complete(id, seq)
	case 1:
		w.append(id, step("first"))
		w.append(id, parked())
		if n%9 == 1 {
			return // a crash; the driver is redelivered some day
		}
		w.schedule(id)
		w.ack(seq)
		if n%9 == 7 && n%2 == 1 {
			// A signal arrives before the timer, which stays stored.
			decision := w.resume(id)
			w.append(id, parked())
			w.schedule(id)
			w.ack(decision)
			named = append(named, decision)
			decision = w.resume(id)
			w.append(id, step("second"), completed())
			w.ack(decision)
			named = append(named, decision)
			break
		}
		if n%9 == 4 {
			return // parked
		}
		woken := w.fire(id)
		w.append(id, resumed(wake(woken)))
		w.append(id, step("second"), completed())
		w.remove(messages.StreamTimers, woken)
	case 2:
		w.append(id, attention())
		w.ack(seq)
		decision := w.message(id)
		w.append(id, recorded(decision), resumed(inbox(decision)))
		w.complete(id, decision)
		named = append(named, decision)
	}
	w.duplicate(id)
	if retention && n%2 == 0 {
		w.deleteHistory(id, named...)
	}
}

func TestReadNeedsTheStreams(t *testing.T) {
	_, err := audit.Read(t.Context(), natstest.Start(t).JetStream())
	if !errors.Is(err, jetstream.ErrStreamNotFound) || !strings.Contains(err.Error(), "open stream ORDER") {
		t.Errorf("got %v", err)
	}
}

func TestReadStopsWithItsContext(t *testing.T) {
	w := newTestServer(t)
	w.accept("o")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := audit.Read(ctx, w.js); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
