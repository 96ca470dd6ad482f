package timeline_test

import (
	"cmp"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// began is when every story begins.
var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(began.Add(d)) }

func driver(seq uint64) *messages.Source {
	return &messages.Source{Stream: messages.StreamOrders, Sequence: seq}
}

// eventContext is one journal entry.
type eventContext struct {
	after  time.Duration
	events []*messages.Event
	node   string
}

// entries numbers the entries as the journal would.
func entries(moments ...eventContext) []journal.Entry {
	var all []journal.Entry
	for i, m := range moments {
		all = append(all, journal.Entry{Sequence: uint64(10 * (i + 1)), Entry: &messages.JournalEntry{
			OrderId: "o-1", Number: uint32(i + 1), Time: at(m.after), Node: cmp.Or(m.node, "node-1"), Events: m.events,
			Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		}})
	}
	return all
}

func entryAfter(after time.Duration, events ...*messages.Event) eventContext {
	return eventContext{after: after, events: events}
}

// onNode is entryAfter for another node.
func onNode(node string, after time.Duration, events ...*messages.Event) eventContext {
	return eventContext{after, events, node}
}

func accepted() *messages.Event {
	return &messages.Event{Kind: &messages.Event_Accepted{Accepted: &messages.OrderAccepted{
		Order: &messages.OrderCreated{
			OrderId: "o-1", CustomerId: "c-7", Currency: "EUR", TotalAmount: 19,
			Items: []*messages.OrderItem{{ProductId: "sku-1", Quantity: 2, UnitPrice: 9.5}},
		},
		Plan: &messages.Plan{Name: "order", Version: 2, Steps: []*messages.Step{
			{Name: "reserve", Do: "nats://inventory.reserve", Undo: "nats://inventory.release", Retry: &messages.Retry{Attempts: 3}},
			{Name: "pay", Do: "http://pay.local/v1?key=hidden", Undo: "http://pay.local/v1/void?key=hidden", Retry: &messages.Retry{Attempts: 3}},
			{Name: "label", Do: "sim:?latency=5ms"},
		}},
		Driver: driver(1), Incarnation: "a",
	}}}
}

func done(step string) *messages.Event {
	return &messages.Event{Kind: &messages.Event_StepCompleted{StepCompleted: &messages.StepCompleted{
		Step: step, Attempt: 1, TookUs: 1234, Data: `"r-1"`,
	}}}
}

func failed(step string, d messages.Direction, attempt uint32, retry time.Duration) *messages.Event {
	f := &messages.StepFailed{Step: step, Direction: d, Attempt: attempt, Kind: messages.Transient, Error: "no responders"}
	if retry > 0 {
		f.RetryAt = at(retry)
	}
	return &messages.Event{Kind: &messages.Event_StepFailed{StepFailed: f}}
}

// uncertain is a failed attempt that may have been performed, unreadable one that was.
func uncertain(failed *messages.Event) *messages.Event {
	failed.GetStepFailed().InDoubt = true
	return failed
}

func unreadable(failed *messages.Event) *messages.Event {
	failed.GetStepFailed().Kind = messages.Unreadable
	failed.GetStepFailed().Error = "answered 200 with OK, which is no StepReply"
	return failed
}

func undoPending(step, signal string, until time.Duration) *messages.Event {
	e := pending(step, signal, until)
	e.GetStepPending().Direction = messages.Undo
	return e
}

// acceptedTombstone is accepted with a first step that is undone in doubt.
func acceptedTombstone() *messages.Event {
	e := accepted()
	e.GetAccepted().Plan.Steps[0].InDoubt = messages.InDoubt_IN_DOUBT_UNDO
	return e
}

func attention(step string, d messages.Direction, cause string) *messages.Event {
	return &messages.Event{Kind: &messages.Event_Attention{Attention: &messages.OrderNeedsAttention{
		Step: step, Direction: d, Kind: messages.Transient, Cause: cause,
	}}}
}

func recorded(seq uint64, t messages.Type) *messages.Event {
	return &messages.Event{Kind: &messages.Event_Recorded{Recorded: &messages.MessageRecorded{Source: driver(seq), Type: string(t)}}}
}

func resumed(seq uint64, incarnation, cause string) *messages.Event {
	return &messages.Event{Kind: &messages.Event_Resumed{Resumed: &messages.OrderResumed{Driver: driver(seq), Incarnation: incarnation, Cause: cause}}}
}

func completed() *messages.Event {
	return &messages.Event{Kind: &messages.Event_Completed{Completed: &messages.OrderCompleted{}}}
}

func undone(step string) *messages.Event {
	return &messages.Event{Kind: &messages.Event_StepUndone{StepUndone: &messages.StepUndone{Step: step, Attempt: 1, TookUs: 800}}}
}

func cancelRequested(seq uint64) *messages.Event {
	return &messages.Event{Kind: &messages.Event_CancelRequested{CancelRequested: &messages.CancelRequested{Source: driver(seq), Reason: "changed my mind"}}}
}

func rejected(step, code string) *messages.Event {
	return &messages.Event{Kind: &messages.Event_StepRejected{StepRejected: &messages.StepRejected{Step: step, Code: code, Reason: "the card was declined"}}}
}

func pending(step, signal string, until time.Duration) *messages.Event {
	return &messages.Event{Kind: &messages.Event_StepPending{StepPending: &messages.StepPending{Step: step, Signal: signal, Deadline: at(until)}}}
}

func parked(reason string, until time.Duration) *messages.Event {
	return &messages.Event{Kind: &messages.Event_Parked{Parked: &messages.OrderParked{Reason: reason, Until: at(until)}}}
}

func signalled(seq uint64, name string) *messages.Event {
	return &messages.Event{Kind: &messages.Event_Signalled{Signalled: &messages.Signalled{Source: driver(seq), Name: name}}}
}

func passed(step string) *messages.Event {
	return &messages.Event{Kind: &messages.Event_StepCompleted{StepCompleted: &messages.StepCompleted{Step: step, Skipped: true}}}
}

func cancelled() *messages.Event {
	return &messages.Event{Kind: &messages.Event_Cancelled{Cancelled: &messages.OrderCancelled{Reason: "changed my mind"}}}
}

func outage(n int) []eventContext {
	var all []eventContext
	for i := range n {
		at := time.Duration(i+1) * time.Minute
		all = append(all, entryAfter(at, parked("step pay waits: http://pay.local is unavailable (circuit open)", at+time.Minute)))
		if i < n-1 {
			wake := resumed(uint64(i+1), fmt.Sprint("w", i), "wake")
			wake.GetResumed().Driver.Stream = messages.StreamTimers
			all = append(all, entryAfter(at+time.Minute-time.Millisecond, wake))
		}
	}
	return all
}

func takeovers(n int) []eventContext {
	var all []eventContext
	for i := range n {
		all = append(all, entryAfter(time.Duration(i+1)*time.Second, resumed(1, fmt.Sprint("t", i), "takeover")))
	}
	return all
}

// viewed is the time of the view, from the beginning.
var viewed = map[string]time.Duration{
	"running": 30 * time.Second, "retrying": 2500 * time.Millisecond, "taken-over": 12 * time.Second, "cancelling": 2 * time.Second,
	"parked": 30 * time.Minute, "parked-retry": time.Minute, "parked-outage": time.Minute, "parked-outage-long": 30*time.Minute + 20*time.Second,
	"in-doubt": time.Minute, "unreadable": time.Minute, "undo-pending": 30 * time.Minute,
	"attention": 26 * time.Hour, "attention-undo": 5 * time.Minute, "attention-again": 3 * time.Hour,
}

// stories has every kind of event at least once.
var stories = map[string][]journal.Entry{
	"completed": entries(
		entryAfter(0, accepted()),
		entryAfter(2*time.Millisecond, done("reserve")),
		entryAfter(3*time.Millisecond, failed("pay", messages.Do, 1, 103*time.Millisecond)),
		entryAfter(104*time.Millisecond, &messages.Event{Kind: &messages.Event_StepCompleted{StepCompleted: &messages.StepCompleted{Step: "pay", Attempt: 2, TookUs: 56}}}),
		entryAfter(107*time.Millisecond, done("label"), completed()),
	),
	// A slow or hanging call.
	"running": entries(
		entryAfter(0, accepted()),
		entryAfter(2*time.Millisecond, done("reserve")),
	),
	"retrying": entries(
		entryAfter(0, accepted()),
		entryAfter(2*time.Millisecond, failed("reserve", messages.Do, 1, time.Second)),
		entryAfter(1010*time.Millisecond, failed("reserve", messages.Do, 2, 5*time.Second)),
	),
	"taken-over": entries(
		entryAfter(0, accepted()),
		entryAfter(2*time.Millisecond, done("reserve")),
		onNode("node-2", 7*time.Second, resumed(1, "b", "takeover")),
		onNode("node-2", 7100*time.Millisecond, done("pay")),
	),
	"restarted": entries(
		entryAfter(0, accepted()),
		entryAfter(2*time.Millisecond, done("reserve")),
		entryAfter(time.Second, resumed(1, "a/1", "restart")),
		entryAfter(1100*time.Millisecond, done("pay")),
	),
	"rejected": entries(
		entryAfter(0, accepted()),
		entryAfter(2*time.Millisecond, done("reserve")),
		entryAfter(4*time.Millisecond, rejected("pay", "card_declined")),
		entryAfter(5*time.Millisecond, undone("reserve"), &messages.Event{Kind: &messages.Event_Rejected{Rejected: &messages.OrderRejected{Code: "card_declined", Reason: "the card was declined"}}}),
	),
	"cancelled": entries(
		entryAfter(0, accepted()),
		entryAfter(2*time.Millisecond, done("reserve")),
		entryAfter(time.Second, cancelRequested(2)),
		entryAfter(1100*time.Millisecond, done("pay")),
		entryAfter(1200*time.Millisecond, undone("pay")),
		entryAfter(1300*time.Millisecond, undone("reserve"), cancelled()),
	),
	// The cancel was stored before the order was accepted.
	"cancelled-new": entries(
		entryAfter(0, accepted(), cancelRequested(2), cancelled()),
	),
	"cancelling": entries(
		entryAfter(0, accepted()),
		entryAfter(2*time.Millisecond, done("reserve")),
		entryAfter(time.Second, cancelRequested(2)),
	),
	"too-late": entries(
		entryAfter(0, accepted()),
		entryAfter(2*time.Millisecond, done("reserve")),
		entryAfter(3*time.Millisecond, done("pay")),
		entryAfter(time.Second, cancelRequested(2)),
		entryAfter(1100*time.Millisecond, done("label"), completed()),
	),
	"attention": entries(
		entryAfter(0, accepted()),
		entryAfter(2*time.Millisecond, failed("reserve", messages.Do, 1, 3*time.Millisecond)),
		entryAfter(4*time.Millisecond, failed("reserve", messages.Do, 2, 5*time.Millisecond)),
		entryAfter(6*time.Millisecond, failed("reserve", messages.Do, 3, 0), attention("reserve", messages.Do, "no responders")),
	),
	"attention-again": entries(
		entryAfter(0, accepted()),
		entryAfter(2*time.Millisecond, failed("reserve", messages.Do, 1, 0), attention("reserve", messages.Do, "no responders")),
		entryAfter(time.Hour, recorded(2, messages.TypeRetry), resumed(2, "b", "retry")),
		entryAfter(time.Hour+time.Millisecond, failed("reserve", messages.Do, 2, time.Hour+2*time.Millisecond)),
		entryAfter(time.Hour+time.Second, attention("reserve", messages.Do, "panic: oh")),
	),
	"attention-undo": entries(
		entryAfter(0, accepted()),
		entryAfter(2*time.Millisecond, done("reserve")),
		entryAfter(time.Second, cancelRequested(2)),
		entryAfter(1100*time.Millisecond, &messages.Event{Kind: &messages.Event_StepRejected{StepRejected: &messages.StepRejected{Step: "pay", Code: "no"}}}),
		entryAfter(90*time.Second, failed("reserve", messages.Undo, 1, 0), attention("reserve", messages.Undo, "no responders")),
	),
	"undone-by-hand": entries(
		entryAfter(0, accepted()),
		entryAfter(2*time.Millisecond, done("reserve")),
		entryAfter(3*time.Millisecond, rejected("pay", "card_declined")),
		entryAfter(4*time.Millisecond, failed("reserve", messages.Undo, 1, 0), attention("reserve", messages.Undo, "no responders")),
		entryAfter(time.Minute, recorded(2, messages.TypeSkip), resumed(2, "b", "skip")),
		entryAfter(time.Minute+time.Millisecond, &messages.Event{Kind: &messages.Event_StepUndone{StepUndone: &messages.StepUndone{Step: "reserve", Skipped: true}}},
			&messages.Event{Kind: &messages.Event_Rejected{Rejected: &messages.OrderRejected{Code: "card_declined", Reason: "the card was declined"}}}),
	),
	"skipped": entries(
		entryAfter(0, accepted()),
		entryAfter(2*time.Millisecond, failed("reserve", messages.Do, 1, 0), attention("reserve", messages.Do, "no responders")),
		entryAfter(time.Hour, recorded(2, messages.TypeSkip), resumed(2, "b", "skip")),
		entryAfter(time.Hour+time.Millisecond, passed("reserve")),
		entryAfter(time.Hour+2*time.Millisecond, done("pay")),
		entryAfter(time.Hour+3*time.Millisecond, done("label"), completed()),
	),
	// An operator's message that arrives when no decision or another one is needed.
	"void-running": entries(
		entryAfter(0, accepted()),
		entryAfter(time.Millisecond, recorded(2, messages.TypeSkip)),
		entryAfter(2*time.Millisecond, recorded(3, messages.TypeRetry)),
		entryAfter(3*time.Millisecond, done("reserve")),
		entryAfter(4*time.Millisecond, rejected("pay", "card_declined")),
		entryAfter(5*time.Millisecond, recorded(4, messages.TypeSkip)),
		entryAfter(6*time.Millisecond, recorded(5, messages.TypeRetry)),
	),
	"void-attention": entries(
		entryAfter(0, accepted()),
		entryAfter(2*time.Millisecond, failed("reserve", messages.Do, 1, 0), attention("reserve", messages.Do, "no responders")),
		entryAfter(time.Minute, recorded(2, messages.TypeSkip)),
		entryAfter(2*time.Minute, recorded(3, messages.TypeSkip), resumed(3, "b", "skip")),
		entryAfter(2*time.Minute+time.Millisecond, passed("reserve")),
		entryAfter(2*time.Minute+2*time.Millisecond, rejected("pay", "card_declined")),
	),
	"void-attention-undo": entries(
		entryAfter(0, accepted()),
		entryAfter(2*time.Millisecond, done("reserve")),
		entryAfter(3*time.Millisecond, rejected("pay", "card_declined")),
		entryAfter(4*time.Millisecond, failed("reserve", messages.Undo, 1, 0), attention("reserve", messages.Undo, "no responders")),
		entryAfter(time.Minute, recorded(2, messages.TypeSkip)),
	),
	"void-attention-all": entries(
		entryAfter(0, accepted()),
		entryAfter(2*time.Millisecond, attention("", messages.Do, "no node survives it")),
		entryAfter(time.Minute, recorded(2, messages.TypeSkip)),
	),
	"void-parked": entries(
		entryAfter(0, accepted()),
		entryAfter(2*time.Millisecond, failed("reserve", messages.Do, 1, 20*time.Minute), parked("step reserve is attempted again", 20*time.Minute)),
		entryAfter(time.Minute, recorded(2, messages.TypeSkip), resumed(2, "b", "skip")),
		entryAfter(time.Minute+time.Millisecond, failed("reserve", messages.Do, 2, 20*time.Minute), parked("step reserve is attempted again", 20*time.Minute)),
		entryAfter(2*time.Minute, recorded(3, messages.TypeRetry), resumed(3, "c", "retry")),
	),
	"parked": entries(
		entryAfter(0, accepted()),
		entryAfter(2*time.Millisecond, done("reserve")),
		entryAfter(3*time.Millisecond, pending("pay", "paid", time.Hour), parked("step pay waits for signal paid", time.Hour)),
	),
	"parked-retry": entries(
		entryAfter(0, accepted()),
		entryAfter(2*time.Millisecond, done("reserve")),
		entryAfter(3*time.Millisecond, failed("pay", messages.Do, 1, 20*time.Minute), parked("step pay is attempted again", 20*time.Minute)),
	),
	"parked-outage": entries(
		entryAfter(0, accepted()),
		entryAfter(2*time.Millisecond, done("reserve")),
		entryAfter(3*time.Millisecond, parked("step pay waits: http://pay.local is unavailable (circuit open): connection refused", 2*time.Minute)),
	),
	// A service that stays unavailable: the order calls it repeatedly.
	"parked-outage-long": entries(append([]eventContext{entryAfter(0, accepted()), entryAfter(2*time.Millisecond, done("reserve"))}, outage(30)...)...),
	"signalled": entries(
		entryAfter(0, accepted()),
		entryAfter(2*time.Millisecond, pending("reserve", "reserved", time.Hour), parked("step reserve waits for signal reserved", time.Hour)),
		entryAfter(time.Minute, signalled(2, "reserved"), resumed(2, "b", "signal")),
		entryAfter(time.Minute+time.Millisecond, &messages.Event{Kind: &messages.Event_StepCompleted{StepCompleted: &messages.StepCompleted{Step: "reserve", Signal: "reserved", Attempt: 1}}}),
	),
	"hostile-signal": entries(
		entryAfter(0, accepted()),
		entryAfter(2*time.Millisecond, pending("reserve", "it's $(date)", time.Hour), parked("step reserve waits for a signal", time.Hour)),
	),
	"skipped-running": entries(
		entryAfter(0, accepted()),
		entryAfter(2*time.Millisecond, done("reserve")),
		entryAfter(3*time.Millisecond, attention("pay", messages.Do, "no responders")),
		entryAfter(time.Minute, recorded(2, messages.TypeSkip), resumed(2, "b", "skip")),
		entryAfter(time.Minute+time.Millisecond, passed("pay")),
		entryAfter(time.Minute+2*time.Millisecond, failed("label", messages.Do, 1, 0)),
		entryAfter(time.Minute+3*time.Millisecond, rejected("label", "no")),
	),
	// Every node that drives the order dies.
	"stuck": entries(append([]eventContext{entryAfter(0, accepted())}, takeovers(order.MaxTakeovers+1)...)...),
	// A time-out, and then a status that says no.
	"in-doubt": entries(
		entryAfter(0, accepted()),
		entryAfter(2*time.Second, uncertain(failed("reserve", messages.Do, 1, 3*time.Second))),
		entryAfter(4*time.Second, failed("reserve", messages.Do, 2, 0),
			attention("reserve", messages.Do, "answered 422: Unprocessable Entity, after an attempt that may have been performed: check with the service, then retry, skip or cancel")),
	),
	// The same of a step that is undone in doubt.
	"refused-in-doubt": entries(
		entryAfter(0, acceptedTombstone()),
		entryAfter(2*time.Second, &messages.Event{Kind: &messages.Event_Parked{Parked: &messages.OrderParked{
			Reason: "step reserve waits: nats://inventory is unavailable (circuit open): timeout", Until: at(time.Minute), InDoubt: true,
		}}}),
		entryAfter(time.Minute, recorded(2, messages.TypeRetry), resumed(2, "b", "retry")),
		entryAfter(time.Minute+4*time.Second, &messages.Event{Kind: &messages.Event_StepRejected{StepRejected: &messages.StepRejected{
			Step: "reserve", Code: "422", Reason: "answered 422: Unprocessable Entity", InDoubt: true,
		}}}),
		entryAfter(time.Minute+5*time.Second, &messages.Event{Kind: &messages.Event_StepUndone{StepUndone: &messages.StepUndone{
			Step: "reserve", Attempt: 1, TookUs: 900, Code: "unknown_key",
		}}}, &messages.Event{Kind: &messages.Event_Rejected{Rejected: &messages.OrderRejected{Code: "422", Reason: "answered 422: Unprocessable Entity"}}}),
	),
	"unreadable": entries(
		entryAfter(0, accepted()),
		entryAfter(time.Second, unreadable(failed("reserve", messages.Do, 1, 2*time.Second))),
		entryAfter(3*time.Second, unreadable(failed("reserve", messages.Do, 2, 0)), attention("reserve", messages.Do, "it is performed, and its answer cannot be read: OK")),
	),
	"unreadable-skipped": entries(
		entryAfter(0, accepted()),
		entryAfter(time.Second, unreadable(failed("reserve", messages.Do, 1, 0)), attention("reserve", messages.Do, "it is performed, and its answer cannot be read: OK")),
		entryAfter(time.Minute, recorded(2, messages.TypeSkip), resumed(2, "b", "skip")),
		entryAfter(time.Minute+time.Millisecond, &messages.Event{Kind: &messages.Event_StepCompleted{StepCompleted: &messages.StepCompleted{
			Step: "reserve", Attempt: 1, Dropped: "answered 200 with OK, which is no StepReply",
		}}}),
		entryAfter(time.Minute+time.Second, &messages.Event{Kind: &messages.Event_StepCompleted{StepCompleted: &messages.StepCompleted{
			Step: "pay", Attempt: 1, TookUs: 1234, Dropped: "the data have 300000 bytes: at most 262144 are kept",
		}}}),
	),
	"undo-pending": entries(
		entryAfter(0, accepted()),
		entryAfter(2*time.Millisecond, done("reserve")),
		entryAfter(3*time.Millisecond, rejected("pay", "card_declined")),
		entryAfter(4*time.Millisecond, undoPending("reserve", "released", time.Hour), parked("undo of reserve waits for signal released", time.Hour)),
	),
	"undone-by-signal": entries(
		entryAfter(0, accepted()),
		entryAfter(2*time.Millisecond, done("reserve")),
		entryAfter(3*time.Millisecond, rejected("pay", "card_declined")),
		entryAfter(4*time.Millisecond, undoPending("reserve", "released", time.Hour), parked("undo of reserve waits for signal released", time.Hour)),
		entryAfter(time.Minute, signalled(2, "released"), resumed(2, "b", "signal")),
		entryAfter(time.Minute+time.Millisecond, &messages.Event{Kind: &messages.Event_StepUndone{StepUndone: &messages.StepUndone{Step: "reserve", Signal: "released", Attempt: 1}}},
			&messages.Event{Kind: &messages.Event_Rejected{Rejected: &messages.OrderRejected{Code: "card_declined", Reason: "the card was declined"}}}),
	),
	// Untrusted text stays on its line and cannot control the terminal.
	"hostile": entries(
		entryAfter(0, accepted()),
		entryAfter(2*time.Millisecond, attention("reserve", messages.Do, "boom\n  +1ms\tnode-9\torder completed\x1b[31m")),
	),
}
