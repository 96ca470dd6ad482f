package order_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// TestForeignTextFitsTheJournal: any answer of a service is truncated to a limit and can be encoded.
func TestForeignTextFitsTheJournal(t *testing.T) {
	for name, text := range map[string]string{
		"long":                         strings.Repeat("x", 5000),
		"truncated inside a character": strings.Repeat("é", 600) + "x",
		"odd cut":                      "x" + strings.Repeat("é", 600),
		"no UTF-8":                     "\xff\xfe" + strings.Repeat("a\xff", 2000),
	} {
		t.Run(name, func(t *testing.T) {
			started := func() (*history, order.CallResult) {
				h := newHistory()
				if err := h.append(epoch, evAccepted(1, "a", step("reserve", true))); err != nil {
					t.Fatal(err)
				}
				return h, order.CallResult{Call: h.state.Next().Call}
			}
			handle := func(h *history, a order.CallResult) []*messages.Event {
				events := h.state.HandleReply(a, order.Env{Now: epoch})
				return events
			}
			h, a := started()
			a.Failure = &delivery.Failure{Kind: messages.Poison, Err: errors.New(text)}
			fits(t, h, handle(h, a))
			h, a = started()
			a.Reply = &messages.StepReply{Result: &messages.StepReply_Rejected{Rejected: &messages.StepRefused{Code: text, Reason: text}}}
			fits(t, h, handle(h, a))
			h, a = started()
			a.Reply = &messages.StepReply{Result: &messages.StepReply_Retry{Retry: &messages.StepAgain{Reason: text}}}
			fits(t, h, handle(h, a))
			h, _ = started()
			fits(t, h, h.state.GiveUp(&delivery.Failure{Kind: messages.Defect, Err: errors.New(text)}))
			h = newHistory()
			d := created(1, "a")
			d.Invalid = errors.New(text)
			fits(t, h, order.Receive(h.state, d, order.Env{Plan: planOf()}).Events)
		})
	}
}

// fits journals the events; append panics when they cannot be encoded.
func fits(t *testing.T, h *history, events []*messages.Event) {
	t.Helper()
	if err := h.append(epoch, events...); err != nil {
		t.Fatal(err)
	}
	for _, e := range h.entries[len(h.entries)-1].Events {
		for _, text := range []string{
			e.GetStepFailed().GetError(), e.GetAttention().GetCause(), e.GetStepRejected().GetReason(), e.GetStepRejected().GetCode(),
			e.GetRejected().GetReason(), e.GetRejected().GetCode(),
		} {
			if len(text) > 1024 {
				t.Errorf("%s holds a text of %d bytes", messages.KindOf(e), len(text))
			}
		}
	}
}

// TestTooMuchData: data that are too large for an entry, or with those of the steps before, are dropped, and the entry says
// why; the order goes on.
func TestTooMuchData(t *testing.T) {
	text := func(bytes int) string { return strconv.Quote(strings.Repeat("x", bytes-2)) }
	const half = messages.MaxResults / 2
	for name, test := range map[string]struct {
		before []int
		data   int
		kept   bool
	}{
		"fits":                       {data: messages.MaxBody, kept: true},
		"too large":                  {data: messages.MaxBody + 1},
		"all results together fit":   {before: []int{half - 1}, data: half, kept: true},
		"all results are one over":   {before: []int{half, half - 1}, data: 2},
		"nothing, when no room left": {before: []int{half, half}},
	} {
		for _, signal := range []bool{false, true} {
			h := newHistory()
			steps := []*messages.Step{step("ship", true), step("notify", false)}
			for i := range test.before {
				steps = append([]*messages.Step{step(fmt.Sprint("s", i), true)}, steps...)
			}
			must := func(events ...*messages.Event) {
				t.Helper()
				if err := h.append(epoch, events...); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
			must(evAccepted(1, "a", steps...))
			for _, bytes := range test.before {
				done := evCompleted(h.state.Plan.Steps[h.state.Done()].GetName())
				done.GetStepCompleted().Data = text(bytes)
				must(done)
			}
			data := ""
			if test.data > 0 {
				data = text(test.data)
			}
			answer := &messages.StepReply{Result: &messages.StepReply_Done{Done: &messages.StepDone{Data: data}}}
			if signal {
				message := evSignal(2, "shipped")
				message.GetSignalled().Data = data
				must(message)
				answer = pendingReply("shipped", time.Time{})
			}
			events := h.state.HandleReply(order.CallResult{Call: h.state.Next().Call, Reply: answer}, order.Env{Now: epoch})
			must(events...)
			got := events[0].GetStepCompleted()
			if kept := got.GetData() == data && got.GetDropped() == ""; kept != (test.kept || test.data == 0) {
				t.Errorf("%s, by signal %v: %d bytes are kept, dropped: %q", name, signal, len(got.GetData()), got.GetDropped())
			}
			if move := h.state.Next(); move.Call.Direction != messages.Do || h.state.Plan.Steps[move.Call.Step].GetName() != "notify" {
				t.Errorf("%s, by signal %v: the next move is %v", name, signal, move)
			}
		}
	}
}
