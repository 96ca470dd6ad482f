package audit_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/ingress/ledger"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/audit"
)

// Ten orders are purged from the inbox, and nothing accounts for them.
func TestPurgedOrdersAreLost(t *testing.T) {
	w := newTestServer(t)
	w.complete("first", w.accept("first"))
	for range 10 {
		w.message("purged")
	}
	w.purge(messages.StreamOrders, messages.SubjectOrder+"purged")
	w.duplicate("first")
	w.ack(w.message("single"))
	r := w.read()
	if r.Balanced() || r.ViolationCount != 2 || r.Inbox.Lost != 11 || r.Inbox.WithoutEffect != 1 {
		t.Fatalf("%+v %+v", r.Inbox, r.Violations)
	}
	for i, want := range []string{"messages 2 to 11 of ORDERS are lost: ", "message 13 of ORDERS is lost: "} {
		if !strings.HasPrefix(r.Violations[i].Reason, want) {
			t.Errorf("%q does not begin with %q", r.Violations[i].Reason, want)
		}
	}
	if want := (ledger.Set{{First: 2, Last: 11}, {First: 13, Last: 13}}); !slices.Equal(r.Lost, want) {
		t.Errorf("lost %v, want %v", r.Lost, want)
	}
	w.settled(writtenOff, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13)
	if r := w.read(); !r.Balanced() || r.Inbox.WrittenOff != 11 || r.Inbox.Lost != 0 {
		t.Errorf("written off: %+v %+v", r.Inbox, r.Violations)
	}
}

// A message whose acknowledgement comes before its first entry is lost if the node dies in between.
func TestAcknowledgedBeforeJournaledIsLost(t *testing.T) {
	w := newTestServer(t)
	w.ack(w.message("o"))
	if r := w.read(); r.Balanced() || r.Inbox.Lost != 1 {
		t.Errorf("%+v %+v", r.Inbox, r.Violations)
	}
}

// Evidence stays when what it is about is removed: dead letters, by age or by hand, and histories of ended orders.
func TestEvidenceOutlivesDeadLettersAndHistories(t *testing.T) {
	w := newTestServer(t)
	bad := w.message("bad")
	w.dead(bad)
	w.settled(deadLettered, bad)
	w.ack(bad)
	w.purge(messages.StreamDead, ">")
	seq := w.accept("ended")
	w.complete("ended", seq)
	w.deleteHistory("ended", seq)
	r := w.read()
	if want := (audit.Inbox{EverStored: 2, DeadLettered: 1, HistoryDeleted: 1}); !r.Balanced() || r.Inbox != want {
		t.Errorf("%+v, want %+v; %+v", r.Inbox, want, r.Violations)
	}
	w.purge(messages.StreamLedger, messages.SubjectLedgerRecord)
	if r := w.read(); r.Balanced() || r.Inbox.Lost != 2 {
		t.Errorf("without the ledger: %+v %+v", r.Inbox, r.Violations)
	}
}

// A crash leaves a message in the ledger and in the inbox, or in the ledger and in the journal: it counts once.
func TestEvidenceCountsOnce(t *testing.T) {
	w := newTestServer(t)
	waiting := w.message("duplicate")
	w.settled(withoutEffect, waiting)
	seq := w.accept("ended")
	w.complete("ended", seq)
	w.settled(historyDeleted, seq)
	w.settled(historyDeleted, seq)
	dead := w.message("bad")
	w.dead(dead)
	w.settled(deadLettered, dead)
	r := w.read()
	if want := (audit.Inbox{EverStored: 3, WithoutEffect: 1, HistoryDeleted: 1, DeadLettered: 1}); !r.Balanced() || r.Inbox != want {
		t.Errorf("%+v, want %+v; %+v", r.Inbox, want, r.Violations)
	}
}

// A data directory of a version without a ledger: what left the inbox before is not proven, and the report says so.
func TestFloorOfAnOlderInbox(t *testing.T) {
	w := newTestServer(t)
	w.must(w.js.DeleteStream(t.Context(), messages.StreamLedger))
	w.ack(w.message("old"))
	w.complete("old", w.accept("old"))
	kept := w.message("kept")
	w.must(ingress.EnsureStreams(t.Context(), w.js, ingress.Streams{}))
	w.ack(w.message("new"))
	r := w.read()
	if want := (audit.Inbox{EverStored: 4, Waiting: 1, Accepted: 1, BeforeLedger: 1, Lost: 1, LedgerFloor: kept}); r.Inbox != want {
		t.Errorf("%+v, want %+v; %+v", r.Inbox, want, r.Violations)
	}
	var text strings.Builder
	w.must(r.WriteText(&text))
	if want := "before the ledger         1  not proven: up to message 3 there was no ledger"; !strings.Contains(text.String(), want) {
		t.Errorf("no %q in\n%s", want, &text)
	}
}

// What no node stored in the ledger is evidence of nothing.
func TestForeignLedgerMessages(t *testing.T) {
	w := newTestServer(t)
	w.ack(w.message("o"))
	w.store(messages.SubjectLedgerRecord, []byte(`{"stream":"ORDERS","seq":1}`))
	w.store(messages.SubjectLedgerSummary, []byte(`{"stream":"ORDERS","seq":1}`))
	w.store(messages.SubjectLedger+"x", nil, messages.HeaderContentType, "application/protobuf")
	if r := w.read(); r.Inbox.Lost != 1 || r.ForeignCount != 3 || r.WarningCount != 1 {
		t.Errorf("%+v %d foreign, %v", r.Inbox, r.ForeignCount, r.Warnings)
	}
	// A start finds the first summary all the same.
	w.must(ingress.EnsureStreams(natstest.Context(t), w.js, ingress.Streams{}))
	if r := w.read(); r.Inbox.Lost != 1 {
		t.Errorf("after another start: %+v", r.Inbox)
	}
}
