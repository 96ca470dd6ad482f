package conformance_test

import (
	"strings"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/conformance"
)

// unreadable are bodies that say neither done nor anything else, although the transport says success.
var unreadable = map[string]string{
	"a page in HTML":             "<!doctype html><title>Sign in</title><p>Please sign in to the network.",
	"XML":                        `<?xml version="1.0"?><response><status>OK</status></response>`,
	"text":                       "OK",
	"another JSON object":        `{"success":false,"error":"card_declined"}`,
	"a success in other words":   `{"success":true,"charge":"ch_1"}`,
	"a decline in other words":   `{"response_code":200,"gateway_response_description":"Insufficient funds"}`,
	"a misspelled result":        `{"dnoe":{"data":{}}}`,
	"a result in capitals":       `{"Done":{}}`,
	"a result that is no object": `{"done":true}`,
	"a delay that is none":       `{"retry":{"after":"soon"}}`,
	"two results":                `{"done":{},"rejected":{"code":"no"}}`,
	"two documents":              `{"done":{}}{"done":{}}`,
	"a result that is null":      `{"done":null}`,
	"the same result twice":      `{"done":{},"done":{}}`,
	"a signal of 300 characters": `{"pending":{"signal":"` + strings.Repeat("x", 300) + `"}}`,
	"an empty object":            `{}`,
	"null":                       `null`,
	"a list":                     `[{"done":{}}]`,
	"a quoted StepReply":         `"{\"done\":{}}"`,
	"a number":                   `1`,
	"JSON that was cut":          `{"done":{"data":{"id":"r-`,
	"a trailing comma":           `{"done":{"data":{"id":1,}}}`,
	"not a number":               `{"done":{"data":NaN}}`,
	"UTF-16":                     "\xff\xfe{\x00\"\x00d\x00o\x00n\x00e\x00\"\x00:\x00{\x00}\x00}\x00",
	"gzip":                       "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xabVJ\xc9\xcfKU\xb2\xaa\xaeU\x02\x00",
	"whitespace":                 "\r\n  ",
}

// answering is a script for each body.
func answering(bodies map[string]string, script func(conformance.Answer) conformance.Script) map[string]conformance.Script {
	all := map[string]conformance.Script{}
	for name, body := range bodies {
		all[name] = script(conformance.Answer{Perform: true, Body: body})
	}
	return all
}

// some are the bodies of those names.
func some(names ...string) map[string]string {
	all := map[string]string{}
	for _, name := range names {
		if all[name] = unreadable[name]; all[name] == "" {
			panic(name)
		}
	}
	return all
}

// declined is an unreadable answer after the effect.
var declined = conformance.Answer{Perform: true, Body: `{"success":false,"error":"card_declined"}`}

// passes checks that the step after the hostile one gets the text in its results.
func passes(text string) func(*bench) {
	return func(b *bench) {
		if body := b.requestOf("after"); !strings.Contains(strings.ReplaceAll(body, " ", ""), strings.ReplaceAll(text, " ", "")) {
			b.Errorf("the next step received %s, want %s in it", clip(body), text)
		}
	}
}

// six is a plan whose steps each leave 200 KiB.
const six = `name: six
version: 1
steps:
  - {name: before, do: nats://good.before, undo: nats://good.before_undo, timeout: 1m}
  - {name: r1, do: HOSTILE/do, undo: HOSTILE/undo, timeout: 1m}
  - {name: r2, do: HOSTILE/do, undo: HOSTILE/undo, timeout: 1m}
  - {name: r3, do: HOSTILE/do, undo: HOSTILE/undo, timeout: 1m}
  - {name: r4, do: HOSTILE/do, undo: HOSTILE/undo, timeout: 1m}
  - {name: r5, do: HOSTILE/do, undo: HOSTILE/undo, timeout: 1m}
  - {name: r6, do: HOSTILE/do, undo: HOSTILE/undo, timeout: 1m}
  - {name: wait, do: HOSTILE/wait, timeout: 1m}
  - {name: last, do: nats://good.after, timeout: 1m}
`

// sixUndone: every step of the plan six was performed once and undone once, and no request had more data than an order keeps.
func sixUndone(b *bench) {
	for _, c := range b.hostile.Calls() {
		if most := messages.MaxResults + 1024; len(c.Body) > most {
			b.Errorf("%s received %d bytes, want at most %d", c.Key, len(c.Body), most)
		}
	}
	for _, step := range []string{"r1", "r2", "r3", "r4", "r5", "r6"} {
		b.wantEffects(step+"/do", b.hostile, 1)
		b.wantEffects(step+"/undo", b.hostile, 1)
	}
}

var bodyLines = []line{
	{answer: "2xx, or no status over NATS, with a body that is not a `StepReply`; a cancel", over: both,
		cases: answering(unreadable, always),
		acts:  []act{onAttention("", "a second call and a cancel", cancel)},
		end:   cancelled, note: "no further call of the step",
		events: begun + " step_failed step_failed attention cancel_requested resumed step_completed step_undone step_undone cancelled", performed: 1, undone: 1, calls: 2, undos: 1},
	{answer: "200 with a page of more than 1 MiB; a cancel", over: onlyHTTP,
		do:   always(conformance.Answer{Perform: true, Body: "<!doctype html>" + strings.Repeat("<p>", 400_000)}),
		acts: []act{onAttention("", "a second call and a cancel", cancel)},
		end:  cancelled, performed: 1, undone: 1, calls: 2, undos: 1},
	{answer: "any 2xx with a body that is not a `StepReply`", over: both,
		cases: forStatuses(func(s int) conformance.Script { return always(declined.As(s)) }, 200, 201, 202, 203, 206, 299),
		end:   attention, says: "card_declined", note: "the attention quotes the answer",
		events: begun + " step_failed step_failed attention", performed: 1, calls: 2},
	{answer: "a body that is not a `StepReply`; a retry that performs nothing new and is readable", over: both,
		do:   conformance.Sequence(declined, declined, conformance.Done(`"r-1"`)),
		acts: []act{onAttention("card_declined", "a retry", retry)},
		end:  completed, performed: 1, calls: 3, check: passes(`"hostile":"r-1"`)},
	{answer: "a body that is not a `StepReply`; a skip", over: both, do: always(declined),
		acts: []act{onAttention("card_declined", "a skip", skip)},
		end:  completed, note: "the step counts as done, without data", performed: 1, calls: 2},
	{answer: "a body that is not a `StepReply`; a skip, and a cancel at a later step", over: both, do: always(declined),
		acts: []act{onAttention("card_declined", "a skip", skip)},
		run:  skippedThenCancelled,
		end:  cancelled, note: "a skipped step that was performed is undone", performed: 1, undone: 1, calls: 2},
	{answer: "a body that is not a `StepReply`, then done", over: both,
		cases: answering(some("a page in HTML", "JSON that was cut", "another JSON object", "UTF-16"), then),
		end:   completed, events: begun + " step_failed " + toEnd, performed: 1, calls: 2},
	{answer: "a body that is not a `StepReply`, then an explicit rejected", over: both,
		do:  conformance.Sequence(conformance.Answer{Body: unreadable["a page in HTML"]}, conformance.Rejected("declined", "no money")),
		end: rejected, says: "no money", calls: 2},
	{answer: "a body that is not a `StepReply`, then 422", over: both, do: conformance.Sequence(declined, bare(422)),
		end: attention, says: "out of paper", note: "not a refusal: the step is performed", performed: 1},
	{answer: "a body that is not a `StepReply`, then 422, with `in_doubt: undo`", over: both, step: "in_doubt: undo", do: conformance.Sequence(declined, bare(422)),
		end: rejected, performed: 1, undone: 1},
	{answer: "a body that is not a `StepReply`, as the last step without undo; a cancel", over: both, last: true, do: always(declined),
		acts: []act{onAttention("card_declined", "a cancel", cancel)},
		end:  completed, note: "the cancel is too late", performed: 1, calls: 2},

	{answer: "`{\"success\":false}` with `reply: {rejected_when: '!body.success', code: body.error, reason: body.error}`", over: both,
		step: "reply: {rejected_when: '!body.success', code: body.error, reason: body.error}",
		do:   always(conformance.Answer{Body: declined.Body}),
		end:  rejected, says: "card_declined", events: begun + " step_rejected step_undone rejected", calls: 1, undos: none},
	{answer: "`{\"success\":true}` with `reply: {done_when: body.success, data: body.charge}`", over: both,
		step: "reply: {done_when: body.success, data: body.charge}",
		do:   always(conformance.Answer{Perform: true, Body: unreadable["a success in other words"]}),
		end:  completed, events: begun + " " + toEnd, performed: 1, calls: 1, check: passes(`"hostile":"ch_1"`)},
	{answer: "a body for which no condition of `reply` is true", over: both,
		step: "reply: {done_when: body.success}", do: always(declined),
		end: attention, says: "card_declined", events: begun + " step_failed step_failed attention", performed: 1, calls: 2},
	{answer: "a body without the field that `reply` asks for", over: both,
		step: "reply: {done_when: body.status == 'ok'}", do: always(declined),
		end: attention, says: "card_declined", events: begun + " step_failed step_failed attention", performed: 1, calls: 2},
	{answer: "404 with a body that `reply` reads", over: both,
		step: "reply: {rejected_when: status == 404 && body.error == 'no_such_card', code: body.error}",
		do:   always(conformance.Answer{Status: 404, Body: `{"error":"no_such_card"}`}),
		end:  rejected, says: "no_such_card", calls: 1},

	{answer: "with `encoding: protobuf`: a `StepReply` in protobuf or JSON", over: both, step: "encoding: protobuf",
		cases: map[string]conformance.Script{
			"protobuf": always(conformance.Answer{Perform: true, Header: map[string]string{"Content-Type": "application/protobuf"}, Body: "\x0a\x00"}),
			"JSON":     always(conformance.Done("")),
		},
		end: completed, events: begun + " " + toEnd, performed: 1, calls: 1},
	{answer: "with `encoding: protobuf`: a body that is not a `StepReply`; a cancel", over: both, step: "encoding: protobuf",
		cases: answering(some("a page in HTML", "text", "another JSON object", "a number", "whitespace"), always),
		acts:  []act{onAttention("", "a second call and a cancel", cancel)},
		end:   cancelled, performed: 1, undone: 1, calls: 2, undos: 1},
	{answer: "a `StepReply` with an unknown field besides", over: both, do: always(conformance.Answer{Perform: true, Body: `{"done":{"data":"x"},"version":2}`}),
		end: completed, events: begun + " " + toEnd, performed: 1, calls: 1},
	{answer: "a `StepReply` under another `Content-Type`", over: both,
		cases: map[string]conformance.Script{
			"text/html":  always(conformance.Done("").With("Content-Type", "text/html; charset=utf-8")),
			"text/plain": always(conformance.Done("").With("Content-Type", "text/plain")),
			"octets":     always(conformance.Done("").With("Content-Type", "application/octet-stream")),
			"nonsense":   always(conformance.Done("").With("Content-Type", "json")),
		},
		end: completed, events: begun + " " + toEnd, performed: 1, calls: 1},
	{answer: "data with `1.10`, `9007199254740993`, `1e400` and `-0.0`", over: both,
		do:  always(conformance.Done(`{"amount":1.10,"id":9007199254740993,"big":1e400,"zero":-0.0}`)),
		end: completed, note: "later steps receive the same text", performed: 1, calls: 1,
		check: passes(`{"amount":1.10,"id":9007199254740993,"big":1e400,"zero":-0.0}`)},
	{answer: "data with fields in any order, and a field twice", over: both,
		do:  always(conformance.Done(`{"z":1,"a":2,"z":3}`)),
		end: completed, performed: 1, calls: 1, check: passes(`{"z":1,"a":2,"z":3}`)},
	{answer: "data of `null`", over: both, do: always(conformance.Done(`null`)), end: completed, performed: 1, calls: 1},
	{answer: "data that are not UTF-8", over: both, do: always(conformance.Done("{\"name\":\"M\xfcller\"}")),
		end: completed, note: "the bytes become U+FFFD", performed: 1, calls: 1, check: passes("{\"name\":\"M\ufffdller\"}")},
	{answer: "data with half a surrogate pair", over: both, do: always(conformance.Done(`{"name":"\ud83d!"}`)),
		end: completed, note: "it becomes U+FFFD", performed: 1, calls: 1, check: passesReplacement},
	{answer: "a code and a reason of control characters, and of 100 kB", over: both,
		do:  always(conformance.Rejected("no\x1b[31m\nway"+strings.Repeat("!", 100_000), "because\x00\r\n"+strings.Repeat("?", 100_000))),
		end: rejected, events: begun + " step_rejected step_undone rejected", calls: 1, undos: none},
	{answer: "data of more than 256 KiB", over: both, do: always(conformance.Done(`"` + strings.Repeat("x", 300<<10) + `"`)),
		end: completed, note: "the data are dropped", events: begun + " " + toEnd, performed: 1, calls: 1},
	{answer: "data of more than 64 levels", over: both, do: always(conformance.Done(strings.Repeat("[", 5000) + strings.Repeat("]", 5000))),
		end: completed, note: "the data are dropped", events: begun + " " + toEnd, performed: 1, calls: 1},
	{answer: "a `StepReply` of done with more than 1 MiB", over: onlyHTTP, do: always(conformance.Done(`"` + strings.Repeat("x", 1100<<10) + `"`)),
		end: completed, note: "the data are dropped", events: begun + " " + toEnd, performed: 1, calls: 1},
	{answer: "six results of 200 KiB, and then a cancel", over: both, plan: six,
		do:  always(conformance.Done(`"` + strings.Repeat("x", 200<<10) + `"`)),
		run: sixResults,
		end: cancelled, note: "data beyond 512 KiB of the order are dropped, and every step is undone", check: sixUndone},
}

// sixResults cancels an order of the plan six while its last but one step is pending.
func sixResults(b *bench) {
	b.hostile.Set("wait", always(conformance.Pending("go")))
	b.create(orderID)
	b.await(parked, "waits for signal go")
	cancel(b)
}

// skippedThenCancelled skips the step, and cancels the order at the step after it.
func skippedThenCancelled(b *bench) {
	b.good.Set("after", always(bare(500)))
	b.create(orderID)
	b.await(attention, "card_declined")
	skip(b)
	b.await(attention, "out of paper")
	b.good.Set("after", always(conformance.Rejected("late", "never performed")))
	cancel(b)
}

// passesReplacement: the next step gets U+FFFD for half a surrogate pair, as a character or as an escape.
func passesReplacement(b *bench) {
	if body := b.requestOf("after"); !strings.Contains(body, "\"\ufffd!\"") && !strings.Contains(strings.ToLower(body), `"\ufffd!"`) {
		b.Errorf("the next step received %s", clip(body))
	}
}
