package order_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

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

// TestTooMuchData: an answer that is too large for an entry needs attention; during compensation it counts as performed.
func TestTooMuchData(t *testing.T) {
	answer := func(h *history, size int) order.CallResult {
		data := strconv.Quote(strings.Repeat("x", size))
		return order.CallResult{Call: h.state.Next().Call, Reply: &messages.StepReply{Result: &messages.StepReply_Done{Done: &messages.StepDone{Data: data}}}}
	}
	for name, test := range map[string]struct {
		before []*messages.Event
		size   int
		want   string
		data   bool
	}{
		"fits":          {nil, messages.MaxBody - 100, "step_completed(reserve)", true},
		"too large":     {nil, messages.MaxBody, "step_failed(reserve/do 1 poison) attention(poison reserve/do)", false},
		"while undoing": {[]*messages.Event{evCancel(2)}, messages.MaxBody, "step_completed(reserve)", false},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHistory()
			if err := h.append(epoch, append([]*messages.Event{evAccepted(1, "a", step("reserve", true), step("ship", true))}, test.before...)...); err != nil {
				t.Fatal(err)
			}
			events := h.state.HandleReply(answer(h, test.size), order.Env{Now: epoch})
			if got := write(events); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if has := events[0].GetStepCompleted().GetData() != ""; has != test.data {
				t.Errorf("data kept: %v, want %v", has, test.data)
			}
			if err := h.append(epoch, events...); err != nil {
				t.Error(err)
			}
		})
	}
}
