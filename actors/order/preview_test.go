package order_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// TestPreviewCancel cancels every order of the scenarios at every point of its history, and compares the preview with the
// calls made and the journal.
func TestPreviewCancel(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios in testdata: %v", err)
	}
	ends, points := map[order.Status]int{}, 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, h := range histories(t, string(text)) {
			for n := 1; n <= len(h.entries); n++ {
				points++
				for _, refuses := range []bool{false, true} {
					ends[checkPreview(t, fmt.Sprintf("%s, scenario %d, entry %d, refuses %v", file, i+1, n, refuses), h, n, refuses)]++
				}
			}
		}
	}
	for _, end := range []order.Status{order.Completed, order.Rejected, order.Cancelled} {
		if ends[end] == 0 {
			t.Errorf("no cancel ended as %s", end)
		}
	}
	if points < 100 {
		t.Errorf("only %d points were tried", points)
	}
}

// histories plays the scenarios of a file.
func histories(t *testing.T, text string) []*history {
	t.Helper()
	var all []*history
	for part := range strings.SplitSeq("\n"+text, "\nscenario ") {
		s := newScenario(t)
		for i, line := range strings.Split(part, "\n") {
			input, _, _ := strings.Cut(line, "=>")
			if words := strings.Fields(input); i > 0 && len(words) > 0 && !strings.HasPrefix(words[0], "#") {
				s.play(words)
			}
		}
		if len(s.history.entries) > 0 {
			all = append(all, s.history)
		}
	}
	return all
}

// TestPreviewCancelOfAnyHistory does the same for random histories.
func TestPreviewCancelOfAnyHistory(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		h := drawHistory(r)
		checkPreview(r, "drawn", h, len(h.entries), rapid.Bool().Draw(r, "refuses"))
	})
}

// drawHistory is a random history.
func drawHistory(r *rapid.T) *history {
	plan := planOf()
	for i := range rapid.IntRange(1, 4).Draw(r, "steps") {
		s := step(fmt.Sprintf("s%d", i+1), rapid.Bool().Draw(r, "undo"))
		if s.GetUndo() != "" && rapid.Bool().Draw(r, "tombstone") {
			s.InDoubt = messages.InDoubt_IN_DOUBT_UNDO
		}
		plan.Steps = append(plan.Steps, s)
	}
	h := newHistory()
	seq := uint64(1)
	must := func(events []*messages.Event) {
		if err := h.append(epoch, events...); err != nil {
			r.Fatal(err)
		}
	}
	must(order.Receive(h.state, created(seq, "a"), order.Env{Plan: plan}).Events)
	for range rapid.IntRange(0, 12).Draw(r, "moves") {
		s := h.state
		switch {
		case s.Status.Terminal():
			return h
		case !s.Status.Driven() || rapid.IntRange(0, 5).Draw(r, "message") == 0:
			seq++
			kind := rapid.SampledFrom([]messages.Type{messages.TypeRetry, messages.TypeSkip, messages.TypeCancel, messages.TypeSignal}).Draw(r, "kind")
			d := newDelivery(kind, seq, fmt.Sprintf("i%d", seq))
			if kind == messages.TypeSignal {
				d.Signal.Name = "paid"
			}
			must(order.Receive(s, d, order.Env{Predecessors: order.PredecessorsNone}).Events)
			continue
		}
		move := s.Next()
		if len(move.Events) > 0 {
			must(move.Events)
			continue
		}
		a := order.CallResult{Call: move.Call}
		switch rapid.IntRange(0, 10).Draw(r, "answer") {
		case 0:
			a.Failure = unavailable(messages.Transient)
			a.Failure.InDoubt = rapid.Bool().Draw(r, "in doubt")
		case 4:
			a.Failure = unavailable(messages.Poison)
		case 7:
			a.Failure = unavailable(messages.Unreadable)
			a.Failure.Done = rapid.Bool().Draw(r, "too large")
		case 8:
			a.Failure = unavailable(messages.Rejected)
			a.Failure.Code = "422"
		case 9:
			a.Failure = unavailable(messages.Transient)
			a.Failure.InDoubt = true
			a.Failure.Deferral = &delivery.Deferral{Reason: "it is out", Until: epoch.Add(time.Minute)}
		case 5:
			a.Reply = retryReply(time.Hour)
		case 1:
			a.Reply = pendingReply("paid", epoch.Add(time.Hour))
		case 2:
			a.Reply = rejectedReply("no")
		default:
			a.Reply = doneReply()
		}
		if events := s.HandleReply(a, order.Env{Now: epoch, Hold: time.Minute}); len(events) > 0 {
			must(events)
		}
	}
	return h
}

// failer is what helpers need of a test, also of a drawn one.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// checkPreview compares the preview of a cancel after the first n entries with the cancel itself, and returns how the order
// ended.
func checkPreview(t failer, name string, h *history, n int, refuses bool) order.Status {
	t.Helper()
	actual := newHistory()
	for _, e := range h.entries[:n] {
		if err := actual.add(e); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	before := actual.state.Number
	calls, after := actual.state.PreviewCancel(refuses)
	if actual.state.Number != before {
		t.Fatalf("%s: the preview changed the state", name)
	}

	var made []order.Call
	journal := func(events []*messages.Event) {
		if err := actual.append(epoch, events...); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if s := actual.state; !s.Status.Terminal() {
		decision := order.Receive(s, newDelivery(messages.TypeCancel, max(s.Watermark, s.Accepted)+7, "z"), order.Env{Predecessors: order.PredecessorsNone})
		journal(decision.Events)
	}
	for actual.state.Status.Driven() {
		move := actual.state.Next()
		if len(move.Events) > 0 {
			journal(move.Events)
			continue
		}
		made = append(made, move.Call)
		reply := doneReply()
		if refuses && move.Call.ResolvesDoubt {
			reply = rejectedReply("no")
		}
		events := actual.state.HandleReply(order.CallResult{Call: move.Call, Reply: reply}, order.Env{Now: epoch})
		journal(events)
	}

	if !slices.Equal(calls, made) {
		t.Fatalf("%s: preview calls %+v, made %+v", name, calls, made)
	}
	if after.Status != actual.state.Status || stepResults(after) != stepResults(actual.state) {
		t.Fatalf("%s: preview %s %s, got %s %s", name, after.Status, stepResults(after), actual.state.Status, stepResults(actual.state))
	}
	return after.Status
}

// stepResults tells which steps are undone and which were skipped.
func stepResults(s *order.State) string {
	var words []string
	for _, r := range s.Results {
		words = append(words, fmt.Sprintf("%v/%v", r.Undone, r.Skipped))
	}
	return strings.Join(words, " ")
}
