package replay_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/audit/replay"
)

// threeSteps can be undone, undone while in doubt, and not undone.
var threeSteps = &messages.Plan{Name: "test", Version: 1, Steps: []*messages.Step{
	{Name: "a", Undo: "sim:"}, {Name: "b", Undo: "sim:", InDoubt: messages.InDoubt_IN_DOUBT_UNDO}, {Name: "c"},
}}

func event(kind any) *messages.Event {
	switch k := kind.(type) {
	case *messages.OrderAccepted:
		return &messages.Event{Kind: &messages.Event_Accepted{Accepted: k}}
	case *messages.StepCompleted:
		return &messages.Event{Kind: &messages.Event_StepCompleted{StepCompleted: k}}
	case *messages.StepFailed:
		return &messages.Event{Kind: &messages.Event_StepFailed{StepFailed: k}}
	case *messages.StepRejected:
		return &messages.Event{Kind: &messages.Event_StepRejected{StepRejected: k}}
	case *messages.StepPending:
		return &messages.Event{Kind: &messages.Event_StepPending{StepPending: k}}
	case *messages.StepUndone:
		return &messages.Event{Kind: &messages.Event_StepUndone{StepUndone: k}}
	case *messages.CancelRequested:
		return &messages.Event{Kind: &messages.Event_CancelRequested{CancelRequested: k}}
	case *messages.Signalled:
		return &messages.Event{Kind: &messages.Event_Signalled{Signalled: k}}
	case *messages.MessageRecorded:
		return &messages.Event{Kind: &messages.Event_Recorded{Recorded: k}}
	case *messages.OrderParked:
		return &messages.Event{Kind: &messages.Event_Parked{Parked: k}}
	case *messages.OrderResumed:
		return &messages.Event{Kind: &messages.Event_Resumed{Resumed: k}}
	case *messages.OrderNeedsAttention:
		return &messages.Event{Kind: &messages.Event_Attention{Attention: k}}
	case *messages.OrderCompleted:
		return &messages.Event{Kind: &messages.Event_Completed{Completed: k}}
	case *messages.OrderRejected:
		return &messages.Event{Kind: &messages.Event_Rejected{Rejected: k}}
	case *messages.OrderCancelled:
		return &messages.Event{Kind: &messages.Event_Cancelled{Cancelled: k}}
	}
	panic("unknown kind of event")
}

func inbox(seq uint64) *messages.Source {
	return &messages.Source{Stream: messages.StreamOrders, Sequence: seq}
}

func wake(seq uint64) *messages.Source {
	return &messages.Source{Stream: messages.StreamTimers, Sequence: seq}
}

func at(second int64) *timestamppb.Timestamp { return timestamppb.New(time.Unix(second, 0)) }

// The events of one order, which is accepted from inbox message 10 by incarnation i.
func accepted() any {
	return &messages.OrderAccepted{Order: &messages.OrderCreated{OrderId: "o"}, Plan: threeSteps, Driver: inbox(10), Incarnation: "i"}
}
func done(step string) any   { return &messages.StepCompleted{Step: step} }
func undone(step string) any { return &messages.StepUndone{Step: step} }
func failed(step string, d messages.Direction, attempt uint32) any {
	return &messages.StepFailed{Step: step, Direction: d, Attempt: attempt, RetryAt: at(60)}
}
func refused(step string) any { return &messages.StepRejected{Step: step} }
func pending(step string) any {
	return &messages.StepPending{Step: step, Signal: "paid", Deadline: at(90)}
}
func inDoubt(refused any) any {
	e := refused.(*messages.StepRejected)
	e.InDoubt = true
	return e
}
func uncertain(failed any) any {
	e := failed.(*messages.StepFailed)
	e.InDoubt = true
	return e
}
func unreadable(failed any) any {
	e := failed.(*messages.StepFailed)
	e.Kind = messages.Unreadable
	return e
}
func undoPending(step string) any {
	e := pending(step).(*messages.StepPending)
	e.Direction = messages.Undo
	return e
}
func parked(until int64) any { return &messages.OrderParked{Until: at(until)} }
func attention() any         { return &messages.OrderNeedsAttention{Step: "a"} }
func cancel(seq uint64) any  { return &messages.CancelRequested{Source: inbox(seq)} }
func signal(seq uint64) any  { return &messages.Signalled{Source: inbox(seq), Name: "paid"} }
func recorded(seq uint64, t messages.Type) any {
	return &messages.MessageRecorded{Source: inbox(seq), Type: string(t)}
}
func resumed(driver *messages.Source, incarnation, cause string) any {
	return &messages.OrderResumed{Driver: driver, Incarnation: incarnation, Cause: cause}
}

type events = []any

func newEntry(number uint32, previous uint64, all events) *messages.JournalEntry {
	e := &messages.JournalEntry{OrderId: "o", Number: number, Previous: previous, Time: at(int64(number))}
	for _, kind := range all {
		e.Events = append(e.Events, event(kind))
	}
	return e
}

// fold folds the entries, the n-th stored at sequence 10n, and returns the first error.
func fold(entries ...events) (*replay.Order, error) {
	o := &replay.Order{}
	for _, all := range entries {
		if err := o.Apply(o.Last+10, newEntry(o.Number+1, o.Last, all)); err != nil {
			return o, err
		}
	}
	return o, nil
}

// skippedLast is the history of an order that is cancelled before its last step, which a skip then passes over.
func skippedLast() []events {
	return []events{{accepted()}, {done("a")}, {done("b")}, {cancel(11)}, {attention()},
		{recorded(12, messages.TypeSkip), resumed(inbox(12), "j", "skip")}, {&messages.StepCompleted{Step: "c", Skipped: true}}}
}

func TestProgressEndsARowOfTakeovers(t *testing.T) {
	for _, progress := range []any{done("a"), failed("a", messages.Do, 1), pending("a"), refused("a"), parked(60), attention()} {
		o, err := fold(events{accepted()}, events{resumed(inbox(10), "j", "takeover")}, events{progress})
		if err != nil || o.State.GetTakeovers() != 0 {
			t.Errorf("%d takeovers after %T, error %v", o.State.GetTakeovers(), progress, err)
		}
	}
}

func TestLegalHistories(t *testing.T) {
	for name, c := range map[string]struct {
		entries []events
		status  replay.Status
		wait    replay.Wait
	}{
		"completed":         {entries: []events{{accepted()}, {done("a")}, {done("b")}, {done("c"), &messages.OrderCompleted{}}}, status: replay.Completed},
		"invalid":           {entries: []events{{accepted(), &messages.OrderRejected{}}}, status: replay.Rejected},
		"rejected":          {entries: []events{{accepted()}, {done("a")}, {refused("b")}, {undone("a"), &messages.OrderRejected{}}}, status: replay.Rejected},
		"compensating":      {entries: []events{{accepted()}, {done("a")}, {cancel(11)}}, status: replay.Compensating},
		"undone in doubt":   {entries: []events{{accepted()}, {done("a")}, {cancel(11)}, {undone("b")}, {undone("a"), &messages.OrderCancelled{}}}, status: replay.Cancelled},
		"settled":           {entries: []events{{accepted()}, {cancel(11)}, {done("a")}, {undone("a"), &messages.OrderCancelled{}}}, status: replay.Cancelled},
		"cancel too late":   {entries: []events{{accepted()}, {done("a")}, {done("b")}, {cancel(11)}, {done("c"), &messages.OrderCompleted{}}}, status: replay.Completed},
		"last step skipped": {entries: append(skippedLast(), events{undone("b")}, events{undone("a"), &messages.OrderCancelled{}}), status: replay.Cancelled},
		"pending":           {entries: []events{{accepted()}, {pending("a"), parked(90)}}, status: replay.Parked, wait: replay.WaitPending},
		"retry":             {entries: []events{{accepted()}, {failed("a", messages.Do, 1), parked(60)}}, status: replay.Parked, wait: replay.WaitRetry},
		"outage":            {entries: []events{{accepted()}, {failed("a", messages.Do, 1)}, {parked(60)}}, status: replay.Parked, wait: replay.WaitOutage},
		"woken":             {entries: []events{{accepted()}, {parked(60)}, {resumed(wake(5), "j", "wake")}}, status: replay.Running},
		"signalled":         {entries: []events{{accepted()}, {pending("a"), parked(60)}, {signal(11), resumed(inbox(11), "j", "signal")}}, status: replay.Running},
		"taken over":        {entries: []events{{accepted()}, {resumed(inbox(10), "j", "takeover")}}, status: replay.Running},
		"skipped":           {entries: []events{{accepted()}, {attention()}, {recorded(11, messages.TypeSkip), resumed(inbox(11), "j", "skip")}, {&messages.StepCompleted{Step: "a", Skipped: true}}}, status: replay.Running},
		"nothing to undo": {entries: []events{{accepted()}, {attention()}, {recorded(11, messages.TypeSkip), resumed(inbox(11), "j", "skip")},
			{&messages.StepCompleted{Step: "a", Skipped: true}}, {refused("b"), &messages.OrderRejected{}}}, status: replay.Rejected},
		"refused in doubt, then undone": {entries: []events{{accepted()}, {done("a")}, {uncertain(failed("b", messages.Do, 1))}, {inDoubt(refused("b"))},
			{undone("b")}, {undone("a"), &messages.OrderRejected{}}}, status: replay.Rejected},
		"undo pending": {entries: []events{{accepted()}, {done("a")}, {refused("b")}, {undoPending("a"), parked(90)}}, status: replay.Parked, wait: replay.WaitPending},
		"undone by signal": {entries: []events{{accepted()}, {done("a")}, {refused("b")}, {signal(11)},
			{&messages.StepUndone{Step: "a", Signal: "paid"}, &messages.OrderRejected{}}}, status: replay.Rejected},
		"signal is used up": {entries: []events{{accepted()}, {signal(11)}, {&messages.StepCompleted{Step: "a", Signal: "paid"}}}, status: replay.Running},
	} {
		o, err := fold(c.entries...)
		if err != nil || o.Status() != c.status || o.Wait != c.wait {
			t.Errorf("%s: status %q, wait %q, error %v; want %q, %q", name, o.Status(), o.Wait, err, c.status, c.wait)
		}
		if o.Status().Driven() == (o.State.GetDriver().GetSequence() == 0) {
			t.Errorf("%s: driver %v in status %s", name, o.State.GetDriver(), o.Status())
		}
	}
}

func TestIllegalHistories(t *testing.T) {
	inAttention := []events{{accepted()}, {attention()}}
	for name, c := range map[string]struct {
		entries []events
		says    string
	}{
		"not accepted":             {[]events{{done("a")}}, "no delivery drives the order"},
		"accepted twice":           {[]events{{accepted()}, {accepted()}}, "accepted twice"},
		"no events":                {[]events{{accepted()}, {}}, "no events"},
		"wrong step":               {[]events{{accepted()}, {done("b")}}, `the do of step "a" is due`},
		"undone while going on":    {[]events{{accepted()}, {done("a")}, {undone("a")}}, "no undo is due"},
		"undone in plan order":     {[]events{{accepted()}, {done("a")}, {done("b")}, {refused("c")}, {undone("a")}}, `the undo of step "b" is due`},
		"undone unsettled":         {[]events{{accepted()}, {done("a")}, {done("b")}, {cancel(11)}, {undone("b")}}, "no undo is due"},
		"undone twice":             {[]events{{accepted()}, {done("a")}, {refused("b")}, {undone("a")}, {undone("a")}}, "no undo is due"},
		"forward after refusal":    {[]events{{accepted()}, {refused("a")}, {done("a")}}, "no do is due"},
		"attempt missing":          {[]events{{accepted()}, {failed("a", messages.Do, 2)}}, "attempt 2, want 1"},
		"completed early":          {[]events{{accepted()}, {done("a"), &messages.OrderCompleted{}}}, "steps are left to do"},
		"completed though refused": {[]events{{accepted()}, {done("a")}, {done("b")}, {refused("c"), &messages.OrderCompleted{}}}, "steps are left to do"},
		"rejected without reason":  {[]events{{accepted()}, {&messages.OrderRejected{}}}, "no step was rejected"},
		"cancelled uncancelled":    {[]events{{accepted()}, {refused("a"), &messages.OrderCancelled{}}}, "only that"},
		"rejected though cancelled": {[]events{{accepted()}, {cancel(11)}, {refused("a"), &messages.OrderRejected{}}},
			"a recorded cancel, and only that, ends an order as cancelled"},
		"completed although compensated": {append(skippedLast(), events{&messages.OrderCompleted{}}), "the order is being compensated"},
		"undo left":                      {[]events{{accepted()}, {done("a")}, {refused("b"), &messages.OrderRejected{}}}, "left to settle or to undo"},
		"beyond return":                  {[]events{{accepted()}, {done("a")}, {done("b")}, {cancel(11)}, {done("c"), &messages.OrderCancelled{}}}, "cannot be undone"},
		"pending counts":                 {[]events{{accepted()}, {cancel(11)}, {pending("a")}}, "counts as done"},
		"called in doubt":                {[]events{{accepted()}, {done("a")}, {cancel(11)}, {failed("b", messages.Do, 1)}}, "not called again"},
		"refused without doubt":          {[]events{{accepted()}, {done("a")}, {inDoubt(refused("b"))}}, "not in doubt"},
		"refused in doubt, settled":      {[]events{{accepted()}, {uncertain(failed("a", messages.Do, 1))}, {inDoubt(refused("a"))}}, "not undone in doubt"},
		"done after a refusal in doubt": {[]events{{accepted()}, {done("a")}, {resumed(inbox(10), "j", "takeover")}, {inDoubt(refused("b"))}, {done("b")}},
			"no do is due"},
		"refused in doubt, cancelled": {[]events{{accepted()}, {done("a")}, {cancel(11)}, {uncertain(failed("b", messages.Undo, 1))}, {inDoubt(refused("b"))}},
			"undone anyway"},
		"undo pending while going on": {[]events{{accepted()}, {done("a")}, {undoPending("a")}}, "no undo is due"},
		"undone without a signal":     {[]events{{accepted()}, {done("a")}, {refused("b")}, {&messages.StepUndone{Step: "a", Signal: "paid"}}}, "no recorded signal"},
		"performed, and skipped": {[]events{{accepted()}, {unreadable(failed("a", messages.Do, 1)), attention()},
			{recorded(11, messages.TypeSkip), resumed(inbox(11), "j", "skip")}, {&messages.StepCompleted{Step: "a", Skipped: true}}}, "though it is performed"},
		"recorded twice":              {[]events{{accepted()}, {cancel(11)}, {signal(11)}}, "recorded already"},
		"created recorded":            {[]events{{accepted()}, {cancel(10)}}, "recorded already"},
		"after the end":               {[]events{{accepted(), &messages.OrderRejected{}}, {cancel(11)}}, "has ended"},
		"another driver":              {[]events{{accepted()}, {resumed(inbox(11), "j", "takeover")}}, "another message drives"},
		"own takeover":                {[]events{{accepted()}, {resumed(inbox(10), "i", "takeover")}}, "owns the order already"},
		"no incarnation":              {[]events{{accepted()}, {resumed(inbox(10), "", "takeover")}}, "incarnation is missing"},
		"stays parked":                {[]events{{accepted()}, {parked(60)}, {recorded(11, messages.TypeRetry)}}, "stays parked"},
		"stays parked, awaited":       {[]events{{accepted()}, {pending("a"), parked(90)}, {signal(11)}}, "stays parked"},
		"stays in attention":          {append(inAttention[:2:2], events{cancel(11)}), "stays attention"},
		"park, split entry":           {[]events{{accepted()}, {signal(11)}, {parked(60)}, {resumed(inbox(11), "j", "signal")}}, "(R3.7)"},
		"attention, split":            {append(inAttention[:2:2], events{recorded(11, messages.TypeSkip)}, events{resumed(inbox(11), "j", "skip")}), "(R3.7)"},
		"attention by signal":         {append(inAttention[:2:2], events{signal(11), resumed(inbox(11), "j", "signal")}), "(R3.7)"},
		"attention by timer":          {append(inAttention[:2:2], events{resumed(wake(5), "j", "wake")}), "(R3.7)"},
		"skip without a skip message": {[]events{{accepted()}, {&messages.StepCompleted{Step: "a", Skipped: true}}}, "no skip was recorded"},
		"skip after a retry": {append(inAttention[:2:2], events{recorded(11, messages.TypeRetry), resumed(inbox(11), "j", "skip")},
			events{&messages.StepCompleted{Step: "a", Skipped: true}}), "no skip was recorded"},
		"skip before a cancel": {append(inAttention[:2:2], events{recorded(11, messages.TypeSkip), resumed(inbox(11), "j", "skip")}, events{cancel(12)},
			events{&messages.StepCompleted{Step: "a", Skipped: true}}), "no skip was recorded"},
		"signal without a signal message": {[]events{{accepted()}, {&messages.StepCompleted{Step: "a", Signal: "paid"}}}, "no recorded signal"},
	} {
		_, err := fold(c.entries...)
		if !errors.Is(err, replay.ErrIllegal) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want %q", name, err, c.says)
		}
	}
}

func TestIllegalEntries(t *testing.T) {
	for name, c := range map[string]struct {
		seq   uint64
		spoil func(*messages.JournalEntry)
		want  error
	}{
		"legal":             {20, func(*messages.JournalEntry) {}, nil},
		"number":            {20, func(e *messages.JournalEntry) { e.Number++ }, replay.ErrIllegal},
		"stored before":     {10, func(*messages.JournalEntry) {}, replay.ErrIllegal},
		"fenced by another": {20, func(e *messages.JournalEntry) { e.Previous-- }, replay.ErrIllegal},
		"another order":     {20, func(e *messages.JournalEntry) { e.OrderId = "p" }, replay.ErrIllegal},
		"no kind":           {20, func(e *messages.JournalEntry) { e.Events = []*messages.Event{{}} }, replay.ErrIllegal},
		"wrong checkpoint":  {20, func(e *messages.JournalEntry) { e.Checkpoint.Takeovers++ }, replay.ErrCheckpoint},
		"later version":     {20, func(e *messages.JournalEntry) { e.Checkpoint.Takeovers++; e.Checkpoint.Version++ }, nil},
	} {
		o, err := fold(events{accepted()})
		if err != nil {
			t.Fatal(err)
		}
		e := newEntry(2, 10, events{done("a")})
		e.Checkpoint = proto.CloneOf(o.State)
		c.spoil(e)
		if err := o.Apply(c.seq, e); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", name, err, c.want)
		}
	}
}
