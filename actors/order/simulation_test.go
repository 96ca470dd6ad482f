package order_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// TestSimulation lets two or three nodes work on one order while everything that can go wrong does, in every order
// that can be drawn, and checks the invariants I1 to I7 after each step. When the disturbances are spent the order
// must come to its end, or to rest in attention, and leave nothing behind.
func TestSimulation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.run()
		w.checkEnd()
	})
}

// longest is more steps than any order needs: whoever takes more is caught in a circle.
const longest = 5000

func newWorld(t *rapid.T) *world {
	w := &world{t: t, now: epoch, history: newHistory(), skipped: map[string]bool{}, recorded: map[uint64]bool{}, owners: map[string]bool{}, plan: planOf()}
	for i := range rapid.IntRange(1, 4).Draw(t, "steps") {
		s := step(fmt.Sprintf("s%d", i+1), rapid.IntRange(0, 3).Draw(t, "undo") > 0)
		if s.GetUndo() != "" && rapid.IntRange(0, 2).Draw(t, "tombstone") == 0 {
			s.InDoubt = messages.InDoubt_IN_DOUBT_UNDO
		}
		w.plan.Steps = append(w.plan.Steps, s)
	}
	signals := w.drawScript()
	for _, s := range w.plan.Steps {
		e := &effect{step: s, no: rapid.IntRange(0, 5).Draw(t, "no") == 0}
		if rapid.IntRange(0, 2).Draw(t, "pending") == 0 && (!e.no || !signals) {
			e.pendings = rapid.IntRange(1, 2).Draw(t, "pendings")
		}
		if rapid.IntRange(0, 7).Draw(t, "stubborn") == 0 {
			e.stubborn = 1
		}
		w.effects = append(w.effects, e)
	}
	for i := range rapid.IntRange(2, 3).Draw(t, "nodes") {
		w.nodes = append(w.nodes, &node{w: w, name: fmt.Sprintf("n%d", i+1)})
	}
	w.policy = policy(rapid.IntRange(2, 4).Draw(t, "attempts"), rapid.Bool().Draw(t, "parks"))
	w.budget = map[string]int{}
	for _, kind := range disturbances {
		w.budget[kind] = rapid.IntRange(0, 3).Draw(t, kind)
	}
	return w
}

// policy gives up after so many attempts.
func policy(attempts int, parks bool) messages.Policy {
	return func(_ messages.FailureKind, h messages.History) messages.Directive {
		switch {
		case h.Attempts >= attempts:
			return messages.Directive{Action: messages.ActAttention}
		case parks:
			return messages.Directive{Action: messages.ActPark, Delay: 30 * time.Second}
		}
		return messages.Directive{Action: messages.ActRestart, Delay: time.Second}
	}
}

// drawScript draws what clients publish, and reports whether a signal is among it.
func (w *world) drawScript() (signals bool) {
	kinds := []string{"created", "cancel", "paid", "other", "retry", "skip", "duplicate", "different"}
	first := rapid.IntRange(0, 2).Draw(w.t, "before created")
	for i := range first + 1 + rapid.IntRange(0, 4).Draw(w.t, "after created") {
		kind := "created"
		if i != first {
			kind = rapid.SampledFrom(kinds[1:]).Draw(w.t, "message")
		}
		signals = signals || kind == "paid"
		w.script = append(w.script, w.letter(kind))
	}
	return signals
}

func (w *world) letter(kind string) *messages.Delivery {
	switch kind {
	case "cancel":
		return delivery(messages.TypeCancel, 0, "")
	case "paid", "other":
		d := delivery(messages.TypeSignal, 0, "")
		d.Signal.Name = kind
		return d
	case "retry":
		return delivery(messages.TypeRetry, 0, "")
	case "skip":
		return delivery(messages.TypeSkip, 0, "")
	}
	d := created(0, "")
	if kind == "different" {
		d.Created = content("c-2")
	}
	return d
}

// disturbances are the kinds of things that may go wrong.
var disturbances = []string{
	"crash", "defect", "give up", "lost reply", "journal away", "ghost", "redelivery", "early wake", "call failed", "call timed out", "person",
}

// transition is something that can happen now.
type transition struct {
	kind string
	// what tells in the log; subject may be nil.
	subject fmt.Stringer
	do      func()
}

func (w *world) run() {
	persons := 3
	for n := 0; ; n++ {
		if n > longest {
			w.t.Fatalf("still going on after %d steps: %s", longest, w.truth().Status)
		}
		if next := w.disturbing(); len(next) > 0 && rapid.IntRange(0, 7).Draw(w.t, "disturb") == 0 {
			tr := next[rapid.IntRange(0, len(next)-1).Draw(w.t, "disturbance")]
			w.budget[tr.kind]--
			w.step(tr)
			continue
		}
		next := w.ordinary()
		if len(next) == 0 {
			if w.truth().Status == order.Attention && persons > 0 {
				persons--
				w.publish(w.letter(rapid.SampledFrom([]string{"retry", "skip", "cancel"}).Draw(w.t, "person")))
				continue
			}
			w.budget = nil
			return
		}
		w.step(next[rapid.IntRange(0, len(next)-1).Draw(w.t, "next")])
	}
}

func (w *world) step(tr transition) {
	if tr.subject != nil {
		w.t.Logf("%s %s", tr.kind, tr.subject)
	} else {
		w.t.Logf("%s", tr.kind)
	}
	tr.do()
	w.check()
}

func (op *operation) String() string { return op.actor.node.name + " " + op.name }
func (n *node) String() string       { return n.name }
func (m *message) String() string    { return fmt.Sprintf("%s %d of %s", m.Type, m.Sequence, m.Stream) }

// arrival is a message on its way to a node.
type arrival struct {
	m *message
	n *node
}

func (a arrival) String() string { return a.m.String() + " to " + a.n.name }

// ordinary is what happens when nothing goes wrong.
func (w *world) ordinary() []transition {
	var next []transition
	add := func(kind string, subject fmt.Stringer, do func()) { next = append(next, transition{kind, subject, do}) }
	if len(w.script) > 0 {
		add("publish", nil, func() {
			d := w.script[0]
			w.script = w.script[1:]
			w.publish(d)
		})
	}
	w.forget()
	for _, op := range w.running {
		switch {
		case !op.effective:
			add("effect of", op, func() { w.takeEffect(op) })
		case op.actor.alive():
			add("reply to", op, func() { w.respond(op, fine) })
		}
	}
	waiting := time.Time{}
	until := func(t time.Time) {
		if waiting.IsZero() || t.Before(waiting) {
			waiting = t
		}
	}
	for _, m := range w.stored {
		if w.heldAlive(m) {
			continue
		}
		if !m.pending && m.due.After(w.now) {
			until(m.due)
			continue
		}
		for _, n := range w.nodes {
			add("deliver", arrival{m, n}, func() { n.take(m) })
		}
	}
	for _, n := range w.nodes {
		if n.failing {
			add("restart", n, n.restart)
		}
	}
	if w.timer != nil {
		if w.timer.at.After(w.now) {
			until(w.timer.at)
		} else {
			add("fire", nil, w.fire)
		}
	}
	if !waiting.IsZero() {
		add("time passes", nil, func() { w.now = waiting })
	}
	return next
}

// forget drops operations that can have no consequence any more.
func (w *world) forget() {
	kept := w.running[:0]
	for _, op := range w.running {
		gone := op.replied || !op.actor.alive()
		if gone && (op.effective || op.entry == nil && !op.lasting) {
			continue
		}
		kept = append(kept, op)
	}
	clear(w.running[len(kept):])
	w.running = kept
}

// heldAlive: the message is with a node, and the stream waits for its acknowledgement.
func (w *world) heldAlive(m *message) bool { return m.pending && w.held(m) }

func (w *world) held(m *message) bool {
	for _, n := range w.nodes {
		for _, d := range n.pending {
			if order.SourceOf(d) == order.SourceOf(m.Delivery) {
				return true
			}
		}
	}
	return false
}

func (w *world) publish(d *messages.Delivery) {
	w.deliveries++
	d.Sequence = uint64(w.deliveries)
	d.Stored = w.now
	w.stored = append(w.stored, &message{Delivery: d})
}

// fire turns the timer into a wake-up.
func (w *world) fire() {
	w.fired++
	d := delivery(messages.TypeWake, w.fired, "")
	d.Park, d.Stored = w.timer.park, w.now
	w.timer = nil
	w.stored = append(w.stored, &message{Delivery: d})
}

// disturbing is what can go wrong now and may.
func (w *world) disturbing() []transition {
	var next []transition
	add := func(kind string, subject fmt.Stringer, do func()) {
		if w.budget[kind] > 0 {
			next = append(next, transition{kind, subject, do})
		}
	}
	w.forget()
	for _, n := range w.nodes {
		if len(n.pending) > 0 {
			add("crash", n, n.crash)
		}
		if n.actor != nil {
			add("defect", n, func() { n.fail(false) })
			add("give up", n, func() { n.fail(true) })
		}
	}
	for _, op := range w.running {
		switch {
		case op.replied || !op.actor.alive():
			// A message that was sent by somebody who is gone may get lost on the way.
			add("ghost", op, func() { op.effective, op.replied = true, true })
		case op.call:
			add("call timed out", op, func() { w.respond(op, failed) })
			add("call failed", op, func() {
				op.effective = true
				w.respond(op, failed)
			})
		case op.entry != nil && op.effective:
			add("lost reply", op, func() { w.respond(op, lost) })
			add("journal away", op, func() { w.respond(op, failed) })
		default:
			// The request may still arrive.
			add("journal away", op, func() { w.respond(op, failed) })
			if op.entry != nil {
				add("lost reply", op, func() { w.respond(op, lost) })
			}
		}
	}
	for _, m := range w.stored {
		if !w.heldAlive(m) && (m.pending || !m.due.After(w.now)) {
			continue
		}
		for _, n := range w.nodes {
			add("redelivery", arrival{m, n}, func() { n.take(m) })
		}
	}
	if w.timer != nil && w.timer.at.After(w.now) {
		add("early wake", nil, w.fire)
	}
	if w.truth().Status == order.Attention {
		add("person", nil, func() {
			w.publish(w.letter(rapid.SampledFrom([]string{"retry", "skip", "cancel", "other"}).Draw(w.t, "word")))
		})
	}
	return next
}
