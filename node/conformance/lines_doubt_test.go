package conformance_test

import (
	"github.com/orderly-engine/orderly/node/conformance"
)

// inDoubt are answers after which a step may have been performed, and was.
var inDoubt = map[string]conformance.Answer{
	"408": bare(408).Performing(), "409": bare(409).Performing(), "500": bare(500).Performing(), "502": bare(502).Performing(), "504": bare(504).Performing(),
}

// withoutDoubt are answers after which a step was certainly not performed.
var withoutDoubt = map[string]conformance.Answer{
	"425": bare(425), "429": bare(429), "retry": conformance.Retry("0.01s", "busy"),
}

// setupThenNo are faults of the set-up, which say that the step was not performed.
var setupThenNo = map[string]conformance.Answer{"301": bare(301), "401": bare(401), "404": bare(404)}

// before answers the first call with the first answer of a case, and all others with the same one.
func before(first map[string]conformance.Answer, all conformance.Answer) map[string]conformance.Script {
	scripts := map[string]conformance.Script{}
	for name, a := range first {
		scripts[name] = conformance.Sequence(a, all)
	}
	return scripts
}

var silentPerformed = conformance.Answer{Perform: true, Fault: conformance.Silent}

const (
	notRefused = begun + failed + " attention"
	doubtUndo  = begun + failed + " step_rejected step_undone step_undone rejected"
)

var doubtLines = []line{
	{answer: "no answer, then 422; the step was performed", over: both, timeout: "2s", attempts: 100,
		do: conformance.Sequence(silentPerformed, bare(422)), end: attention, says: "out of paper",
		note: "a status alone is not a refusal of the first call", events: notRefused, performed: 1},
	{answer: "no answer, then 422; the step was not performed", over: both, timeout: "2s", attempts: 100,
		do: conformance.Sequence(silent, bare(422)), end: attention, says: "out of paper", events: notRefused},
	{answer: "no answer, then 422, with `in_doubt: undo`; the step was performed", over: both, timeout: "2s", attempts: 100, step: "in_doubt: undo",
		do: conformance.Sequence(silentPerformed, bare(422)), end: rejected, says: "out of paper", events: doubtUndo, performed: 1, undone: 1},
	{answer: "no answer, then 422, with `in_doubt: undo`; the step was not performed", over: both, timeout: "2s", attempts: 100, step: "in_doubt: undo",
		do: conformance.Sequence(silent, bare(422)), end: rejected, says: "out of paper", events: doubtUndo, undone: 1},
	{answer: "no answer, then 422, as the last step without undo", over: both, timeout: "2s", attempts: 100, last: true,
		do: conformance.Sequence(silentPerformed, bare(422)), end: attention, says: "out of paper", events: notRefused, performed: 1},
	{answer: "no answer, then an explicit rejected", over: both, timeout: "2s", attempts: 100,
		do:  conformance.Sequence(silent, conformance.Rejected("declined", "no money")),
		end: rejected, says: "no money", events: begun + failed + " step_rejected step_undone rejected", undos: none},
	{answer: "no answer, then an explicit rejected, with `in_doubt: undo`", over: both, timeout: "2s", attempts: 100, step: "in_doubt: undo",
		do:  conformance.Sequence(silent, conformance.Rejected("declined", "no money")),
		end: rejected, says: "no money", events: begun + failed + " step_rejected step_undone rejected", undos: none},
	{answer: "no answer, then 409, then done", over: both, timeout: "2s", attempts: 100,
		do: conformance.Sequence(silentPerformed, bare(409), conformance.Done("")), end: completed, events: begun + failed + " " + toEnd, performed: 1},
	{answer: "no answer, then 429 or retry, then 422", over: both, timeout: "2s", attempts: 100,
		cases: map[string]conformance.Script{
			"429":   conformance.Sequence(silentPerformed, bare(429), bare(422)),
			"retry": conformance.Sequence(silentPerformed, conformance.Retry("0.01s", "busy"), bare(422)),
		},
		end: attention, says: "out of paper", events: notRefused, performed: 1},
	{answer: "no answer, then 404, then done", over: both, timeout: "2s", attempts: 100,
		do: conformance.Sequence(silentPerformed, bare(404), conformance.Done("")), end: completed, performed: 1},
	{answer: "no answer, then 422; a retry, and done", over: both, timeout: "2s", attempts: 100,
		do:   conformance.Sequence(silentPerformed, bare(422)),
		acts: []act{onAttention("out of paper", "the repair and a retry", func(b *bench) { mend("do")(b); retry(b) })},
		end:  completed, performed: 1},
	{answer: "no answer, then 422; a skip", over: both, timeout: "2s", attempts: 100,
		do:   conformance.Sequence(silent, bare(422)),
		acts: []act{onAttention("out of paper", "a skip", skip)},
		end:  completed},
	{answer: "no answer, then 422; a cancel, and done", over: both, timeout: "2s", attempts: 100,
		do:   conformance.Sequence(silentPerformed, bare(422)),
		acts: []act{onAttention("out of paper", "the repair and a cancel", func(b *bench) { mend("do")(b); cancel(b) })},
		end:  cancelled, performed: 1, undone: 1},
	{answer: "no answer at any attempt; a cancel, with `in_doubt: undo`", over: both, timeout: "2s", step: "in_doubt: undo",
		do:   always(silentPerformed),
		acts: []act{onAttention("did not answer within 2s", "a cancel", cancel)},
		end:  cancelled, note: "no further call of the step", events: begun + " step_failed step_failed step_failed attention cancel_requested resumed step_undone step_undone cancelled",
		performed: 1, undone: 1},
	{answer: "no answer at any attempt; a cancel, and then a body that is not a `StepReply`", over: both, timeout: "2s",
		do: always(silent),
		acts: []act{onAttention("did not answer within 2s", "a cancel", func(b *bench) {
			b.hostile.Set("do", always(declined))
			cancel(b)
		})},
		end: cancelled, note: "the step counts as performed", performed: 1, undone: 1,
		events: begun + " step_failed step_failed step_failed attention cancel_requested resumed step_completed step_undone step_undone cancelled"},
	{answer: "no answer at any attempt; a cancel, and then an explicit rejected", over: both, timeout: "2s",
		do: always(silent),
		acts: []act{onAttention("did not answer within 2s", "a cancel", func(b *bench) {
			b.hostile.Set("do", always(conformance.Rejected("declined", "no money")))
			cancel(b)
		})},
		end: cancelled, undos: none},

	{answer: "5xx, 408 or 409, then 422", over: both, cases: before(inDoubt, bare(422)),
		end: attention, says: "out of paper", events: begun + " step_failed step_failed attention", performed: 1, calls: 2},
	{answer: "5xx, 408 or 409, then 422, with `in_doubt: undo`", over: both, step: "in_doubt: undo", cases: before(inDoubt, bare(422)),
		end: rejected, says: "out of paper", events: begun + " step_failed step_rejected step_undone step_undone rejected", performed: 1, undone: 1, calls: 2},
	{answer: "a connection that breaks before the status, then 422", over: onlyHTTP, cases: before(broken, bare(422)),
		end: attention, says: "out of paper", events: begun + " step_failed step_failed attention", performed: 1, calls: 2},
	{answer: "a connection that breaks before the status, then 422, with `in_doubt: undo`", over: onlyHTTP, step: "in_doubt: undo", cases: before(broken, bare(422)),
		end: rejected, says: "out of paper", events: begun + " step_failed step_rejected step_undone step_undone rejected", performed: 1, undone: 1, calls: 2},
	{answer: "a connection in use before that breaks after the call, then 422", over: onlyHTTP,
		do:  conformance.Sequence(bare(429), broken["reset"], bare(422)),
		end: attention, says: "out of paper", note: "the HTTP client does not call again by itself",
		events: begun + " step_failed step_failed step_failed attention", performed: 1, calls: 3},
	{answer: "a JetStream acknowledgement, then 422", over: onlyNATS, do: always(bare(422)), run: acknowledgedThenNo,
		end: attention, says: "out of paper"},
	{answer: "425, 429 or retry, then 422", over: both, cases: before(withoutDoubt, bare(422)),
		end: rejected, says: "out of paper", events: begun + " step_failed step_rejected step_undone rejected", calls: 2, undos: none},
	{answer: "a fault of the set-up, then 422", over: both, cases: before(setupThenNo, bare(422)),
		end: rejected, says: "out of paper", events: begun + waited + " step_rejected step_undone rejected", undos: none},
	{answer: "303, then 422", over: both, cases: before(map[string]conformance.Answer{"303": bare(303).Performing()}, bare(422)),
		end: attention, says: "out of paper", note: "303 points to the result of a request that was performed",
		events: begun + waited + " step_failed attention", performed: 1},
	{answer: "nothing listens, or nobody subscribes; then 422", over: both, attempts: 20, do: always(bare(422)), run: startsLate,
		end: rejected, says: "out of paper", undos: none},
}

// acknowledgedThenNo has a stream on the subject until the order parks; the service answers only later calls.
func acknowledgedThenNo(b *bench) {
	b.stopHostile()
	remove := b.storeSubject()
	b.create(orderID)
	b.await(parked, "")
	remove()
	b.startHostile()
}
