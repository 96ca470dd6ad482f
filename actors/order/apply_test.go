package order_test

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// events in their shortest form.

func source(seq uint64) *messages.Source { return &messages.Source{Stream: inbox, Sequence: seq} }

func evAccepted(seq uint64, inc string, steps ...*messages.Step) *messages.Event {
	return &messages.Event{Kind: &messages.Event_Accepted{Accepted: &messages.OrderAccepted{
		Order: content("c-1"), Plan: planOf(steps...), Driver: source(seq), Incarnation: inc,
	}}}
}

func evCompleted(step string) *messages.Event {
	return &messages.Event{Kind: &messages.Event_StepCompleted{StepCompleted: &messages.StepCompleted{Step: step}}}
}

func evPassed(step string) *messages.Event {
	return &messages.Event{Kind: &messages.Event_StepCompleted{StepCompleted: &messages.StepCompleted{Step: step, Skipped: true}}}
}

func evBySignal(step, signal string) *messages.Event {
	return &messages.Event{Kind: &messages.Event_StepCompleted{StepCompleted: &messages.StepCompleted{Step: step, Signal: signal}}}
}

func evFailed(step string, d messages.Direction, attempt uint32) *messages.Event {
	return &messages.Event{Kind: &messages.Event_StepFailed{StepFailed: &messages.StepFailed{
		Step: step, Direction: d, Attempt: attempt, Kind: messages.Transient,
	}}}
}

func evRefused(step string) *messages.Event {
	return &messages.Event{Kind: &messages.Event_StepRejected{StepRejected: &messages.StepRejected{Step: step, Code: "no"}}}
}

func evPending(step string) *messages.Event {
	return &messages.Event{Kind: &messages.Event_StepPending{StepPending: &messages.StepPending{Step: step, Signal: "paid"}}}
}

func evUndone(step string, skipped bool) *messages.Event {
	return &messages.Event{Kind: &messages.Event_StepUndone{StepUndone: &messages.StepUndone{Step: step, Skipped: skipped}}}
}

func evCancel(seq uint64) *messages.Event {
	return &messages.Event{Kind: &messages.Event_CancelRequested{CancelRequested: &messages.CancelRequested{Source: source(seq)}}}
}

func evSignal(seq uint64, name string) *messages.Event {
	return &messages.Event{Kind: &messages.Event_Signalled{Signalled: &messages.Signalled{Source: source(seq), Name: name}}}
}

func evRecorded(seq uint64, t messages.Type) *messages.Event {
	return &messages.Event{Kind: &messages.Event_Recorded{Recorded: &messages.MessageRecorded{Source: source(seq), Type: string(t)}}}
}

func evParked() *messages.Event {
	return &messages.Event{Kind: &messages.Event_Parked{Parked: &messages.OrderParked{Until: timestamppb.New(epoch)}}}
}

func evResumed(seq uint64, inc string) *messages.Event {
	return &messages.Event{Kind: &messages.Event_Resumed{Resumed: &messages.OrderResumed{Driver: source(seq), Incarnation: inc}}}
}

// evSkip is evResumed by a skip.
func evSkip(seq uint64, inc string) *messages.Event {
	e := evResumed(seq, inc)
	e.GetResumed().Cause = "skip"
	return e
}

func evAttention() *messages.Event {
	return &messages.Event{Kind: &messages.Event_Attention{Attention: &messages.OrderNeedsAttention{}}}
}

func evEnd(s order.Status) *messages.Event {
	switch s {
	case order.Rejected:
		return &messages.Event{Kind: &messages.Event_Rejected{Rejected: &messages.OrderRejected{}}}
	case order.Cancelled:
		return &messages.Event{Kind: &messages.Event_Cancelled{Cancelled: &messages.OrderCancelled{}}}
	default:
		return &messages.Event{Kind: &messages.Event_Completed{Completed: &messages.OrderCompleted{}}}
	}
}

// TestIllegalHistories holds what `verify` relies on: a history that the rules cannot produce is refused, and the
// refusal says why. All events but the last one are legal.
func TestIllegalHistories(t *testing.T) {
	const done, gone, no = order.Completed, order.Cancelled, order.Rejected
	two := evAccepted(1, "a", step("reserve", true), step("capture", false))
	undoable := evAccepted(1, "a", step("reserve", true), step("ship", true))
	only := evAccepted(1, "a", step("capture", false))
	tomb := step("reserve", true)
	tomb.InDoubt = messages.InDoubt_IN_DOUBT_UNDO
	doubtful := evAccepted(1, "a", step("notify", true), tomb, step("capture", false))
	inDoubt := evRefused("reserve")
	inDoubt.GetStepRejected().InDoubt = true
	uncertain := evFailed("reserve", messages.Do, 1)
	uncertain.GetStepFailed().InDoubt = true
	undoPending := func(step string) *messages.Event {
		e := evPending(step)
		e.GetStepPending().Direction = messages.Undo
		return e
	}
	undoneBy := func(step, signal string) *messages.Event {
		e := evUndone(step, false)
		e.GetStepUndone().Signal = signal
		return e
	}
	type history = []*messages.Event
	tests := map[string]struct {
		events history
		why    string
	}{
		"starts with a step":           {history{evCompleted("reserve")}, "no driver"},
		"starts with a failure":        {history{evFailed("reserve", messages.Do, 1)}, "no driver"},
		"starts with an undo":          {history{evUndone("reserve", false)}, "not compensating"},
		"starts with a recording":      {history{evRecorded(1, messages.TypeRetry)}, "no such order"},
		"starts with a cancel":         {history{evCancel(1)}, "no such order"},
		"starts with a signal":         {history{evSignal(1, "paid")}, "no such order"},
		"starts parked":                {history{evParked()}, "no driver"},
		"starts in attention":          {history{evAttention()}, "no driver"},
		"starts resumed":               {history{evResumed(1, "a")}, "has not started"},
		"starts with its end":          {history{evEnd(done)}, "no driver"},
		"accepted twice":               {history{two, two}, "accepted twice"},
		"accepted without driver":      {history{evAccepted(0, "a")}, "missing"},
		"accepted without incarnation": {history{evAccepted(1, "")}, "missing"},
		"accepted without order": {history{{Kind: &messages.Event_Accepted{Accepted: &messages.OrderAccepted{
			Plan: planOf(), Driver: source(1), Incarnation: "a",
		}}}}, "missing"},
		"accepted without plan": {history{{Kind: &messages.Event_Accepted{Accepted: &messages.OrderAccepted{
			Order: content("c-1"), Driver: source(1), Incarnation: "a",
		}}}}, "missing"},
		"unknown event": {history{two, {}}, "unknown kind"},

		"step out of order":                {history{two, evCompleted("capture")}, `want "reserve"`},
		"step twice":                       {history{two, evCompleted("reserve"), evCompleted("reserve")}, `want "capture"`},
		"step beyond the plan":             {history{two, evCompleted("reserve"), evCompleted("capture"), evCompleted("ship")}, "every step is done"},
		"step while parked":                {history{two, evParked(), evCompleted("reserve")}, "no driver"},
		"step in attention":                {history{two, evAttention(), evCompleted("reserve")}, "no driver"},
		"step by a signal that never was":  {history{two, evSignal(2, "other"), evBySignal("reserve", "paid")}, "no recorded signal"},
		"step by a used signal":            {history{undoable, evSignal(2, "paid"), evBySignal("reserve", "paid"), evBySignal("ship", "paid")}, "no recorded signal"},
		"step skipped without a skip":      {history{two, evPassed("reserve")}, "no skip was recorded"},
		"step after a refusal":             {history{undoable, evCompleted("reserve"), evRefused("ship"), evCompleted("ship")}, "no step can become done"},
		"step after settling":              {history{doubtful, evCancel(2), evCompleted("notify"), evCompleted("reserve")}, "no step can become done"},
		"step after a tombstone":           {history{doubtful, evCompleted("notify"), evCancel(2), evUndone("reserve", false), evCompleted("capture")}, "no step can become done"},
		"refusal out of order":             {history{two, evRefused("capture")}, `want "reserve"`},
		"refusal twice":                    {history{two, evRefused("reserve"), evRefused("reserve")}, "no step can become done"},
		"pending out of order":             {history{two, evPending("capture")}, `want "reserve"`},
		"pending while parked":             {history{two, evParked(), evPending("reserve")}, "no driver"},
		"failure out of order":             {history{two, evFailed("capture", messages.Do, 1)}, `want "reserve"`},
		"failure of an undo while running": {history{two, evFailed("reserve", messages.Undo, 1)}, "not compensating"},
		"failure numbered twice":           {history{two, evFailed("reserve", messages.Do, 1), evFailed("reserve", messages.Do, 1)}, "want 2"},
		"failure while parked":             {history{two, evParked(), evFailed("reserve", messages.Do, 1)}, "no driver"},

		"refusal in doubt without doubt":      {history{doubtful, evCompleted("notify"), inDoubt}, "not in doubt"},
		"refusal in doubt of another step":    {history{undoable, uncertain, inDoubt}, "not undone in doubt"},
		"step after a refusal in doubt":       {history{doubtful, evCompleted("notify"), uncertain, inDoubt, evCompleted("reserve")}, "no step can become done"},
		"refusal after a refusal in doubt":    {history{doubtful, evCompleted("notify"), uncertain, inDoubt, evRefused("reserve")}, "no step can become done"},
		"undo before that of a step in doubt": {history{doubtful, evCompleted("notify"), uncertain, inDoubt, evUndone("notify", false)}, `want "reserve"`},
		"ended before that undo":              {history{doubtful, evCompleted("notify"), uncertain, inDoubt, evEnd(no)}, "left to undo"},
		"undo pending while running":          {history{two, evCompleted("reserve"), undoPending("reserve")}, "not compensating"},
		"undo pending out of order":           {history{two, evCompleted("reserve"), evRefused("capture"), undoPending("capture")}, `want "reserve"`},
		"undone by a signal that never was":   {history{two, evCompleted("reserve"), evRefused("capture"), evSignal(2, "other"), undoneBy("reserve", "released")}, "no recorded signal"},
		"undone by a signal that a step used": {history{two, evSignal(2, "paid"), evBySignal("reserve", "paid"), evRefused("capture"), undoneBy("reserve", "paid")}, "no recorded signal"},

		"undo while running":             {history{two, evCompleted("reserve"), evUndone("reserve", false)}, "not compensating"},
		"undo out of order":              {history{evAccepted(1, "a", step("a", true), step("b", true), step("c", false)), evCompleted("a"), evCompleted("b"), evRefused("c"), evUndone("a", false)}, `want "b"`},
		"undo twice":                     {history{two, evCompleted("reserve"), evRefused("capture"), evUndone("reserve", false), evUndone("reserve", false)}, "nothing is left"},
		"undo before resolving":          {history{undoable, evCompleted("reserve"), evCancel(2), evUndone("reserve", false)}, "not resolved"},
		"undo of what was passed over":   {history{two, evAttention(), evRecorded(2, messages.TypeSkip), evSkip(2, "b"), evPassed("reserve"), evRefused("capture"), evUndone("reserve", false)}, "nothing is left"},
		"undo of a step without":         {history{evAccepted(1, "a", step("a", false), step("b", true)), evCompleted("a"), evRefused("b"), evUndone("a", false)}, "nothing is left"},
		"undo skipped without a skip":    {history{two, evCompleted("reserve"), evRefused("capture"), evUndone("reserve", true)}, "no skip was recorded"},
		"undo past the pivot":            {history{two, evCompleted("reserve"), evCancel(2), evCompleted("capture"), evUndone("reserve", false)}, "cannot be undone"},
		"undo of the step before doubt":  {history{doubtful, evCompleted("notify"), evCancel(2), evUndone("notify", false)}, `want "reserve"`},
		"failure of an undo, wrong step": {history{two, evCompleted("reserve"), evRefused("capture"), evFailed("capture", messages.Undo, 1)}, `want "reserve"`},
		"failure of a do while undoing":  {history{two, evCompleted("reserve"), evRefused("capture"), evFailed("capture", messages.Do, 1)}, "no step can become done"},

		"recorded twice":               {history{two, evSignal(2, "paid"), evSignal(2, "paid")}, "recorded already"},
		"recorded out of order":        {history{two, evSignal(3, "paid"), evCancel(2)}, "recorded already"},
		"recorded the created message": {history{two, evCancel(1)}, "recorded already"},
		"recorded below the watermark": {history{two, evCancel(4), evRecorded(3, messages.TypeRetry)}, "recorded already"},

		"parked twice":                     {history{two, evParked(), evParked()}, "no driver"},
		"attention while parked":           {history{two, evParked(), evAttention()}, "no driver"},
		"resumed without driver":           {history{two, evParked(), evResumed(0, "b")}, "missing"},
		"resumed without incarnation":      {history{two, evParked(), evResumed(2, "")}, "missing"},
		"resumed by another message":       {history{two, evResumed(2, "b")}, "another message drives"},
		"resumed by the owner":             {history{two, evResumed(1, "a")}, "owns the order already"},
		"attention ended by an old driver": {history{two, evSignal(2, "paid"), evAttention(), evResumed(1, "b")}, "ends attention"},

		"completed with steps left":         {history{two, evCompleted("reserve"), evEnd(done)}, "steps are left to do"},
		"completed while undoing":           {history{undoable, evCompleted("reserve"), evCancel(2), evCompleted("ship"), evEnd(done)}, "being undone"},
		"completed while parked":            {history{only, evParked(), evEnd(done)}, "no driver"},
		"cancelled without a cancel":        {history{two, evRefused("reserve"), evEnd(gone)}, "no cancel was requested"},
		"cancelled with steps left to undo": {history{undoable, evCancel(2), evCompleted("reserve"), evEnd(gone)}, "left to undo"},
		"cancelled before resolving":        {history{undoable, evCancel(2), evEnd(gone)}, "not resolved"},
		"cancelled before a tombstone":      {history{doubtful, evCompleted("notify"), evCancel(2), evEnd(gone)}, "left to undo"},
		"cancelled past the pivot":          {history{only, evCancel(2), evCompleted("capture"), evEnd(gone)}, "cannot be undone"},
		"rejected with steps left to undo":  {history{two, evCompleted("reserve"), evRefused("capture"), evEnd(no)}, "left to undo"},
		"rejected although cancelled":       {history{two, evCancel(2), evRefused("reserve"), evEnd(no)}, "a cancel was requested"},
		"rejected without a rejection":      {history{two, evEnd(no)}, "no step was rejected"},
	}
	for _, end := range []struct {
		word   string
		events history
	}{
		{"completed", history{only, evCompleted("capture"), evEnd(done)}},
		{"rejected", history{only, evRefused("capture"), evEnd(no)}},
		{"cancelled", history{only, evCancel(2), evRefused("capture"), evEnd(gone)}},
	} {
		for word, e := range map[string]*messages.Event{
			"accepted": only, "step": evCompleted("capture"), "failure": evFailed("capture", messages.Do, 1), "refusal": evRefused("capture"),
			"pending": evPending("capture"), "undo": evUndone("capture", false), "cancel": evCancel(9), "signal": evSignal(9, "paid"),
			"recorded": evRecorded(9, messages.TypeSkip), "parked": evParked(), "resumed": evResumed(9, "b"), "attention": evAttention(),
			"completed": evEnd(done), "rejected": evEnd(no), "cancelled": evEnd(gone),
		} {
			tests[word+" after "+end.word] = struct {
				events history
				why    string
			}{append(end.events[:len(end.events):len(end.events)], e), ""}
		}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHistory()
			last := len(test.events) - 1
			for i, e := range test.events[:last] {
				if err := h.append(epoch, e); err != nil {
					t.Fatalf("event %d of the legal part: %v", i+1, err)
				}
			}
			err := h.append(epoch, test.events[last])
			if !errors.Is(err, order.ErrIllegal) {
				t.Fatalf("got %v, want ErrIllegal", err)
			}
			for _, part := range []string{string(id), messages.KindOf(test.events[last]), test.why} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
		})
	}
}

// TestIllegalEntries: entries that are illegal independently of their events.
func TestIllegalEntries(t *testing.T) {
	first := &messages.JournalEntry{OrderId: string(id), Number: 1, Events: []*messages.Event{evAccepted(1, "a", step("reserve", true))}}
	tests := map[string]struct {
		seq   uint64
		entry *messages.JournalEntry
		why   string
	}{
		"same number":    {20, &messages.JournalEntry{OrderId: string(id), Number: 1, Events: []*messages.Event{evParked()}}, "want number 2"},
		"gap":            {20, &messages.JournalEntry{OrderId: string(id), Number: 3, Events: []*messages.Event{evParked()}}, "want number 2"},
		"no events":      {20, &messages.JournalEntry{OrderId: string(id), Number: 2}, "no events"},
		"other order":    {20, &messages.JournalEntry{OrderId: "o-2", Number: 2, Events: []*messages.Event{evParked()}}, "order o-1"},
		"same sequence":  {10, &messages.JournalEntry{OrderId: string(id), Number: 2, Events: []*messages.Event{evParked()}}, "not after 10"},
		"older sequence": {9, &messages.JournalEntry{OrderId: string(id), Number: 2, Events: []*messages.Event{evParked()}}, "not after 10"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := &order.State{}
			if err := s.Apply(10, first); err != nil {
				t.Fatal(err)
			}
			if err := s.Apply(test.seq, test.entry); !errors.Is(err, order.ErrIllegal) || !strings.Contains(err.Error(), test.why) {
				t.Errorf("got %v, want ErrIllegal that says %q", err, test.why)
			}
		})
	}
}

// TestInvalidOrderEndsInOneEntry: only there may an order be rejected that no step refused.
func TestInvalidOrderEndsInOneEntry(t *testing.T) {
	h := newHistory()
	if err := h.append(epoch, evAccepted(1, "a", step("reserve", true)), evEnd(order.Rejected)); err != nil {
		t.Fatal(err)
	}
	if h.state.Status != order.Rejected {
		t.Errorf("status %s, want rejected", h.state.Status)
	}
}

// TestWords: every phase and every event has one.
func TestWords(t *testing.T) {
	for s := order.None; s <= order.Cancelled; s++ {
		if s.String() == "unknown" {
			t.Errorf("status %d has no word", s)
		}
	}
	if got := order.Status(99).String(); got != "unknown" {
		t.Errorf("status 99 is %q", got)
	}
	kinds := (&messages.Event{}).ProtoReflect().Descriptor().Oneofs().ByName("kind").Fields()
	for i := range kinds.Len() {
		e := &messages.Event{}
		e.ProtoReflect().Set(kinds.Get(i), e.ProtoReflect().NewField(kinds.Get(i)))
		if got := messages.KindOf(e); got != string(kinds.Get(i).Name()) {
			t.Errorf("%s has the word %q", kinds.Get(i).Name(), got)
		}
	}
	if got := messages.KindOf(&messages.Event{}); got != "unknown" {
		t.Errorf("no event is %q", got)
	}
}
