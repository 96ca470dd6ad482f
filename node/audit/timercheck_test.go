package audit_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/audit"
)

// A timer may outlive its park, its order, and even the order's history: it fires without effect.
func TestLeftoverTimersAreLegal(t *testing.T) {
	t.Parallel()
	w := newTestServer(t)
	var named []uint64
	for _, id := range []string{"ended", "removed", "attention", "running", "again"} {
		seq := w.accept(id)
		w.append(id, parked())
		w.schedule(id)
		w.ack(seq)
		decision := w.resume(id)
		if id == "removed" {
			named = []uint64{seq, decision}
		}
		switch id {
		case "ended", "removed":
			w.append(id, step("first"))
			w.append(id, step("second"), completed())
			w.ack(decision)
		case "attention":
			w.append(id, attention())
			w.ack(decision)
		case "again":
			w.append(id, parked()) // and a crash before the schedule: the signal is still stored
		}
	}
	w.deleteHistory("removed", named...)
	r := w.read()
	if want := (audit.Timers{Stored: 5, Stale: 4, Orphaned: 1, Unscheduled: 1}); !r.Balanced() || r.Timers != want {
		t.Errorf("timers %+v, want %+v; %+v", r.Timers, want, r.Violations)
	}
}

// An order that is accepted, parked and scheduled while the streams are read is not a violation.
func TestYoungOrderIsLegal(t *testing.T) {
	t.Parallel()
	w := newTestServer(t)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
				id := fmt.Sprint("o-", n)
				seq := w.accept(id)
				w.append(id, parked())
				w.schedule(id)
				w.ack(seq)
			}
		}
	}()
	for range 10 {
		if r := w.read(); !r.Balanced() {
			t.Errorf("%+v %+v", r.Timers, r.Violations)
		}
	}
	close(stop)
	<-done
}

func TestOverdue(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for due, want := range map[time.Time]string{
		{}:                        "has no due time",
		at.Add(time.Hour):         "",
		at.Add(-30 * time.Second): "",
		at.Add(-2 * time.Minute):  "was due at 2026-01-02T03:02:05Z and had not fired at 2026-01-02T03:04:05Z",
	} {
		if got := audit.Overdue(due, at); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("due %s: %q, want %q", due, got, want)
		}
	}
}

// Causes that differ only by the order's id are counted together, and the most frequent are listed.
func TestCauses(t *testing.T) {
	t.Parallel()
	w := newTestServer(t)
	needsAttention := func(id string, cause string) {
		seq := w.accept(id)
		w.append(id, attentionFor("first", messages.Do, cause))
		w.ack(seq)
	}
	for n := range 3 {
		id := fmt.Sprint("p-", n)
		needsAttention(id, "order "+id+": panic: oh")
	}
	for n := range audit.MaxCauses + 2 {
		needsAttention(fmt.Sprint("q-", n), "cause "+strings.Repeat("x", n+1))
	}
	r := w.read()
	if len(r.AttentionCauses) != audit.MaxCauses || r.AttentionCauses[0].Orders != 3 || r.AttentionCauses[0].Cause != "order …: panic: oh" {
		t.Errorf("%+v", r.AttentionCauses)
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "\nattention by cause\n  3  first: order …: panic: oh\n") || !strings.Contains(text.String(), "\n  3  for other causes\n") {
		t.Errorf("got\n%s", text.String())
	}
}
