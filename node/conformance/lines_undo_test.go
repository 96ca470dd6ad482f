package conformance_test

import (
	"strings"

	"github.com/orderly-engine/orderly/node/conformance"
)

// undoing is a line whose order is undone because the step after the hostile one is refused.
func undoing(l line) line {
	l.do = always(conformance.Done(`{"id":1.10}`))
	l.after = always(conformance.Rejected("late", "too late"))
	l.performed, l.calls = 1, 1
	if l.over == nil {
		l.over = both
	}
	if l.end == "" {
		l.end, l.says = rejected, "too late"
	}
	return l
}

// undoEvents are the events before an undo.
const undoEvents = begun + " step_completed step_rejected"

var undoLines = []line{
	undoing(line{answer: "undo: done", undo: always(conformance.Done("")), undone: 1, undos: 1,
		events: undoEvents + " step_undone step_undone rejected", note: "its request has the step's own result alone", check: ownResult}),
	undoing(line{answer: "undo: pending, and later its signal", undo: always(conformance.Pending("refunded").Performing()),
		acts:   []act{onPark("waits for signal refunded", "the signal", signal("refunded"))},
		events: undoEvents + " step_pending parked signalled resumed step_undone step_undone rejected", undone: 1, undos: 1}),
	undoing(line{answer: "undo: pending without a name, and later the signal `<step>_undo`", undo: always(conformance.Answer{Perform: true, Body: `{"pending":{}}`}),
		acts:   []act{onPark("waits for signal hostile_undo", "the signal", signal("hostile_undo"))},
		events: undoEvents + " step_pending parked signalled resumed step_undone step_undone rejected", undone: 1, undos: 1}),
	undoing(line{answer: "undo: 202 with an empty body, and later the signal `<step>_undo`", undo: always(conformance.Answer{Perform: true, Status: 202}),
		acts:   []act{onPark("waits for signal hostile_undo", "the signal", signal("hostile_undo"))},
		events: undoEvents + " step_pending parked signalled resumed step_undone step_undone rejected", undone: 1, undos: 1}),
	undoing(line{answer: "undo: rejected with a code in `nothing_to_undo`", step: "nothing_to_undo: [already_refunded, 404]",
		undo: always(conformance.Rejected("already_refunded", "refunded on Monday")), undos: 1,
		events: undoEvents + " step_undone step_undone rejected", note: "the step counts as undone"}),
	undoing(line{answer: "undo: a status in `nothing_to_undo`", step: "nothing_to_undo: [already_refunded, 400, 404, 409, 410, 422]",
		undoCases: forStatuses(func(s int) conformance.Script { return always(bare(s)) }, 400, 404, 409, 410, 422), undos: 1,
		events: undoEvents + " step_undone step_undone rejected", note: "the step counts as undone"}),
	undoing(line{answer: "undo: rejected with another code", step: "nothing_to_undo: [already_refunded]",
		undo: always(conformance.Rejected("too_late", "settled on Monday")), end: attention, says: "settled on Monday", undos: 1,
		events: undoEvents + " step_failed attention"}),
	undoing(line{answer: "undo: rejected with another code; a skip", undo: always(conformance.Rejected("too_late", "settled on Monday")),
		acts: []act{onAttention("settled on Monday", "a skip", skipUndo)}, undos: 1, note: "the step counts as undone by hand"}),
	undoing(line{answer: "undo: 422 that is not listed", undo: always(bare(422)), end: attention, says: "out of paper", undos: 1,
		events: undoEvents + " step_failed attention"}),
	undoing(line{answer: "undo: 404 that is not listed, until the set-up is repaired", undo: always(bare(404)),
		acts:   []act{onPark("out of paper", "the repair", mend("undo"))},
		events: undoEvents + waited + " step_undone step_undone rejected", undone: 1}),
	undoing(line{answer: "undo: 401, until the set-up is repaired", undo: always(bare(401)),
		acts:   []act{onPark("out of paper", "the repair", mend("undo"))},
		events: undoEvents + waited + " step_undone step_undone rejected", undone: 1}),
	undoing(line{answer: "undo: 5xx, then done", undo: then(bare(500).Performing()),
		events: undoEvents + " step_failed step_undone step_undone rejected", undone: 1, undos: 2}),
	undoing(line{answer: "undo: 5xx at every attempt; a retry, and done", undo: always(bare(503)),
		acts: []act{onAttention("out of paper", "the repair and a retry", func(b *bench) { mend("undo")(b); retry(b) })}, undone: 1}),
	undoing(line{answer: "undo: retry, then done", undo: then(conformance.Retry("0.01s", "busy")),
		events: undoEvents + " step_failed step_undone step_undone rejected", undone: 1, undos: 2}),
	undoing(line{answer: "undo: no answer, then done", timeout: "2s", attempts: 100, undo: then(silentPerformed),
		events: undoEvents + failed + " step_undone step_undone rejected", undone: 1}),
	undoing(line{answer: "undo: no answer, then a code in `nothing_to_undo`", timeout: "2s", attempts: 100, step: "nothing_to_undo: [already_refunded]",
		undo:   conformance.Sequence(silentPerformed, conformance.Rejected("already_refunded", "refunded just now")),
		events: undoEvents + failed + " step_undone step_undone rejected", undone: 1}),
	undoing(line{answer: "undo: a connection that breaks, then done", over: onlyHTTP, undo: then(broken["reset"]),
		events: undoEvents + " step_failed step_undone step_undone rejected", undone: 1, undos: 2}),
	undoing(line{answer: "undo: a body that is not a `StepReply`", undoCases: answering(some("a page in HTML", "another JSON object", "an empty object"), always),
		end: attention, undone: 1, undos: 2, events: undoEvents + " step_failed step_failed attention"}),
	undoing(line{answer: "undo: a body that is not a `StepReply`; a skip", undo: always(declined),
		acts: []act{onAttention("card_declined", "a skip", skipUndo)}, undone: 1, undos: 2}),
	undoing(line{answer: "undo: a body that `undo_reply` reads as done", step: "undo_reply: {done_when: body.status == 'refunded'}",
		undo: always(conformance.Answer{Perform: true, Body: `{"status":"refunded"}`}), undone: 1, undos: 1,
		events: undoEvents + " step_undone step_undone rejected"}),
	undoing(line{answer: "undo: a body that `undo_reply` reads as rejected with a code in `nothing_to_undo`",
		step: "undo_reply: {rejected_when: has(body.error), code: body.error}\nnothing_to_undo: [gone]",
		undo: always(conformance.Answer{Body: `{"error":"gone"}`}), undos: 1,
		events: undoEvents + " step_undone step_undone rejected", note: "the step counts as undone"}),
	undoing(line{answer: "undo: data of more than 256 KiB", undo: always(conformance.Done(`"` + strings.Repeat("x", 300<<10) + `"`)), undone: 1, undos: 1,
		events: undoEvents + " step_undone step_undone rejected"}),
}

// ownResult: the request of an undo has the result of its own step, as the service wrote it, and no other.
func ownResult(b *bench) {
	for _, c := range b.hostile.Calls() {
		body := strings.ReplaceAll(string(c.Body), " ", "")
		if c.Route == "undo" && !strings.Contains(body, `"results":{"hostile":{"id":1.10}}`) {
			b.Errorf("the undo received %s", body)
		}
	}
}
