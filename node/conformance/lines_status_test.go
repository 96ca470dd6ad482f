package conformance_test

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/conformance"
)

// Parts of histories.
const (
	begun  = "accepted step_completed"
	toEnd  = "step_completed step_completed completed"
	waited = "( parked resumed)+"
	failed = "( step_failed)+"
)

// forStatuses is a case for each status.
func forStatuses(script func(status int) conformance.Script, statuses ...int) map[string]conformance.Script {
	all := map[string]conformance.Script{}
	for _, s := range statuses {
		all[strconv.Itoa(s)] = script(s)
	}
	return all
}

// always answers each call in the same way.
func always(a conformance.Answer) conformance.Script { return conformance.Sequence(a) }

// then answers the first call with the answer, and performs at later calls.
func then(a conformance.Answer) conformance.Script {
	return conformance.Sequence(a, conformance.Done(""))
}

// bare is a status with a short text.
func bare(status int) conformance.Answer { return conformance.Status(status, "out of paper") }

// stepReplies give an answer with each status, and perform at later calls.
func stepReplies(a conformance.Answer, statuses ...int) map[string]conformance.Script {
	return forStatuses(func(s int) conformance.Script { return then(a.As(s)) }, statuses...)
}

// untilMended answers with a status until the script is replaced, for each status.
func untilMended(statuses ...int) map[string]conformance.Script {
	return forStatuses(func(s int) conformance.Script { return always(bare(s)) }, statuses...)
}

// otherStatuses are 4xx that say nothing about the order.
var otherStatuses = []int{400, 406, 410, 411, 412, 414, 416, 417, 418, 423, 424, 428, 451, 499}

// oddStatuses are statuses that a StepReply in the body overrules.
var oddStatuses = []int{301, 404, 409, 422, 429, 500, 503}

var statusLines = []line{
	{answer: "200 with a `StepReply` of done", over: both, do: always(conformance.Done(`{"id": 1}`).As(200)),
		end: completed, events: begun + " " + toEnd, performed: 1, calls: 1},
	{answer: "no status, and a `StepReply` of done", over: []transport{overNATS}, do: always(conformance.Done(`{"id": 1}`)),
		end: completed, events: begun + " " + toEnd, performed: 1, calls: 1},
	{answer: "any 2xx with a `StepReply` of done", over: both,
		cases: forStatuses(func(s int) conformance.Script { return always(conformance.Done("").As(s)) }, 201, 202, 203, 206, 207, 226, 299),
		end:   completed, events: begun + " " + toEnd, performed: 1, calls: 1},
	{answer: "2xx with an empty body, except 202, 206 and 226", over: both,
		cases: forStatuses(func(s int) conformance.Script { return always(conformance.Answer{Perform: true, Status: s}) }, 200, 201, 203, 204, 205, 299),
		end:   completed, events: begun + " " + toEnd, performed: 1, calls: 1},
	{answer: "206 or 226 with an empty body", over: both,
		cases: forStatuses(func(s int) conformance.Script { return always(conformance.Answer{Perform: true, Status: s}) }, 206, 226),
		end:   attention, note: "a part of an answer", events: begun + " step_failed step_failed attention", performed: 1, calls: 2},
	{answer: "202 with an empty body, and later a signal named as the step", over: both,
		do:   always(conformance.Answer{Perform: true, Status: 202}),
		acts: []act{{on: parked, says: "waits for signal hostile", what: "the signal", send: signal("hostile")}},
		end:  completed, events: begun + " step_pending parked signalled resumed " + toEnd, performed: 1, calls: 1},
	{answer: "any status with a `StepReply` of done", over: both, cases: stepReplies(conformance.Done(""), oddStatuses...),
		end: completed, events: begun + " " + toEnd, performed: 1, calls: 1},
	{answer: "any status with a `StepReply` of rejected", over: both,
		cases: stepReplies(conformance.Rejected("out_of_stock", "none left"), append([]int{200}, oddStatuses...)...),
		end:   rejected, says: "none left", events: begun + " step_rejected step_undone rejected", calls: 1, undos: none},
	{answer: "any status with a `StepReply` of pending, and later the signal", over: both,
		cases: stepReplies(conformance.Pending("paid").Performing(), append([]int{200}, oddStatuses...)...),
		acts:  []act{{on: parked, says: "waits for signal paid", what: "the signal", send: signal("paid")}},
		end:   completed, events: begun + " step_pending parked signalled resumed " + toEnd, performed: 1, calls: 1},
	{answer: "any status with a `StepReply` of retry, then done", over: both,
		cases: stepReplies(conformance.Retry("0.01s", "busy"), append([]int{200}, oddStatuses...)...),
		end:   completed, events: begun + " step_failed " + toEnd, performed: 1, calls: 2},
	{answer: "a `StepReply` of retry at every attempt", over: both, do: always(conformance.Retry("0.01s", "still busy")),
		end: attention, says: "still busy", events: begun + " step_failed step_failed step_failed attention", calls: 3},

	{answer: "a `StepReply` of retry after a year", over: both, do: always(conformance.Retry("31536000s", "busy")),
		end: parked, says: "is attempted again", note: "for a day at most", events: begun + " step_failed parked", calls: 1, check: waitsADay},
	{answer: "a `StepReply` of rejected without a code", over: both, do: always(conformance.Answer{Body: `{"rejected":{}}`}),
		end: rejected, events: begun + " step_rejected step_undone rejected", calls: 1, undos: none},
	{answer: "a `StepReply` of pending, after its signal", over: both, run: signalsFirst,
		end: completed, performed: 1, calls: 1},
	{answer: "a `StepReply` of pending with a deadline in the past, then done", over: both,
		do:  then(conformance.Answer{Perform: true, Body: `{"pending":{"signal":"paid","deadline":"2001-01-01T00:00:00Z"}}`}),
		end: completed, note: "the step is called again after a second", events: begun + " step_pending parked resumed " + toEnd, performed: 1, calls: 2},
	{answer: "402 or 422", over: both,
		cases: forStatuses(func(s int) conformance.Script { return always(bare(s)) }, 402, 422),
		end:   rejected, says: "out of paper", note: "its code is the status",
		events: begun + " step_rejected step_undone rejected", calls: 1, undos: none,
		check: func(b *bench) {
			if v := b.view(orderID); !strings.Contains(string(v.Events[len(v.Events)-1].Detail), `"code"`) {
				b.Errorf("the end has no code: %s", v.Events[len(v.Events)-1].Detail)
			}
		}},
	{answer: "422 with a problem document", over: both,
		do: always(conformance.Answer{Status: 422, Header: map[string]string{"Content-Type": "application/problem+json"},
			Body: `{"type":"about:blank","title":"Unprocessable","detail":"the card was declined"}`}),
		end: rejected, says: "the card was declined", events: begun + " step_rejected step_undone rejected", calls: 1, undos: none},
	{answer: "422 with a body of 2 MB", over: []transport{overHTTP}, do: always(conformance.Status(422, strings.Repeat("no ", 700_000))),
		end: rejected, events: begun + " step_rejected step_undone rejected", calls: 1, undos: none},
	{answer: "5xx, 408, 409, 425 or 429, then done", over: both,
		cases: forStatuses(func(s int) conformance.Script { return then(bare(s)) }, 408, 409, 425, 429, 500, 501, 502, 503, 504, 507, 511, 520, 529, 599),
		end:   completed, events: begun + " step_failed " + toEnd, performed: 1, calls: 2},
	{answer: "5xx, 408, 409, 425 or 429 at every attempt", over: both,
		cases: forStatuses(func(s int) conformance.Script { return always(bare(s)) }, 408, 409, 425, 429, 500, 503),
		end:   attention, says: "out of paper", events: begun + " step_failed step_failed step_failed attention", calls: 3},
	{answer: "500 at every attempt, stored by the service after it had performed the step; a cancel", over: both,
		do:   always(bare(500).Performing()),
		acts: []act{onAttention("out of paper", "a cancel", cancel)},
		end:  attention, says: "out of paper", note: "the step is in doubt and is called again", performed: 1},
	{answer: "409 while the first call still runs, then done", over: both,
		do:  conformance.Sequence(bare(409).Performing(), bare(409), conformance.Done("")),
		end: completed, events: begun + " step_failed step_failed " + toEnd, performed: 1, calls: 3},
	{answer: "500 with a body of 2 MB, then done", over: []transport{overHTTP}, do: then(conformance.Status(500, strings.Repeat("stack trace ", 200_000))),
		end: completed, events: begun + " step_failed " + toEnd, performed: 1, calls: 2},
	{answer: "429 or 503 with `Retry-After` in seconds, then done", over: both,
		cases: forStatuses(func(s int) conformance.Script { return then(bare(s).With("Retry-After", "1")) }, 429, 503),
		end:   completed, events: begun + " step_failed " + toEnd, performed: 1, calls: 2, check: waitedBetweenCalls},
	{answer: "429 or 503 with `Retry-After` as a date, then done", over: both,
		cases: forStatuses(func(s int) conformance.Script {
			return func(c conformance.Call) conformance.Answer {
				if c.Number > 1 {
					return conformance.Done("")
				}
				return bare(s).With("Retry-After", time.Now().Add(2*time.Second).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"))
			}
		}, 429, 503),
		end: completed, events: begun + " step_failed " + toEnd, performed: 1, calls: 2, check: waitedBetweenCalls},
	{answer: "503 with a `Retry-After` that cannot be read, then done", over: both,
		cases: map[string]conformance.Script{
			"words": then(bare(503).With("Retry-After", "later")), "negative": then(bare(503).With("Retry-After", "-5")),
			"number": then(bare(503).With("Retry-After", "1e99")), "past": then(bare(503).With("Retry-After", "Mon, 02 Jan 2006 15:04:05 GMT")),
		},
		end: completed, events: begun + " step_failed " + toEnd, performed: 1, calls: 2},
	{answer: "503 with a `Retry-After` of a year", over: both, do: always(bare(503).With("Retry-After", "31536000")),
		end: parked, says: "is attempted again", note: "for a day at most", events: begun + " step_failed parked", calls: 1,
		check: waitsADay},
	{answer: "a status above 599, then done", over: both,
		cases: forStatuses(func(s int) conformance.Script { return then(bare(s)) }, 600, 999),
		end:   completed, events: begun + " step_failed " + toEnd, performed: 1, calls: 2},
}

// waitsADay: the order is parked for at most a day.
func waitsADay(b *bench) {
	if until := b.view(orderID).WaitsUntil; until == nil || time.Until(*until) > 24*time.Hour {
		b.Errorf("the order waits until %v, want a day at most", until)
	}
}

// signalsFirst lets the service send the signal before it answers that the signal will come.
func signalsFirst(b *bench) {
	b.hostile.Set("do", func(conformance.Call) conformance.Answer {
		if err := b.orders.Signal(context.Background(), orderID, "paid", nil); err != nil {
			return bare(500)
		}
		return conformance.Pending("paid").Performing()
	})
	b.create(orderID)
}

// waitedBetweenCalls: the second call came at least about a second after the first failed.
func waitedBetweenCalls(b *bench) {
	var at []time.Time
	for _, e := range b.view(orderID).Events {
		if e.Kind == "step_failed" || e.Kind == messages.KindStepCompleted {
			at = append(at, e.Time)
		}
	}
	if len(at) < 3 || at[2].Sub(at[1]) < 900*time.Millisecond {
		b.Errorf("the calls ended at %v, want a pause of a second", at)
	}
}
