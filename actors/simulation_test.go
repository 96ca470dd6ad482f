package actors_test

import (
	"flag"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestSimulation lets two or three nodes with real order actors work on one order while faults happen in random order, and checks
// the invariants I1 to I7 after each step. After the last fault the order must end, or rest in attention, with no open
// message left.
//
// One goroutine decides what happens next: when actors run, when every append, read, look-up, schedule and step call takes
// effect, and when it is replied to. A failure is therefore replayed by its seed; the output says how (-rapid.seed=N or
// -rapid.failfile=FILE). -rapid.checks=N tries more cases.
func TestSimulation(t *testing.T) {
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "rapid.checks" })
	prove := func(t *testing.T, checks int, keep func() store) {
		if !chosen {
			if err := flag.Set("rapid.checks", strconv.Itoa(checks)); err != nil {
				t.Fatal(err)
			}
		}
		p := newPump(t)
		rapid.Check(t, func(t *rapid.T) {
			w := newSimulation(t, p, keep())
			defer w.close()
			w.run()
			w.checkEnd()
		})
	}
	t.Run("memory", func(t *testing.T) {
		prove(t, 1500, func() store { return newMemoryStore() })
	})
	t.Run("stream", func(t *testing.T) {
		s := newStreamStores(t)
		prove(t, 250, s.next)
	})
}

// longest is more steps than any order needs: a case that takes more is in a livelock.
const longest = 5000

// faults are the kinds of events that need not happen.
var faults = []string{
	"crash", "defect", "give up", "lost reply", "journal away", "request lost", "redelivery", "early wake", "call failed", "call timed out", "call deferred", "call not sent", "person", "idle",
	"purge", "lost ack", "lost delivery count",
}

// transition is an event that can happen now.
type transition struct {
	kind string
	// subject is the affected object, for the log.
	subject string
	do      func()
}

func (w *simulation) run() {
	persons := 3
	for n := 0; ; n++ {
		if n > longest {
			w.t.Fatalf("still going on after %d steps: %s", longest, w.truth.Status)
		}
		if next := w.possibleFaults(); len(next) > 0 && rapid.IntRange(0, 7).Draw(w.t, "fault") == 0 {
			tr := next[rapid.IntRange(0, len(next)-1).Draw(w.t, "which fault")]
			w.budget[tr.kind]--
			w.step(tr)
			continue
		}
		next := w.possibleSteps()
		if len(next) == 0 {
			if w.inAttention() && persons > 0 {
				persons--
				w.publish(w.newMessage(rapid.SampledFrom([]string{"retry", "skip", "cancel"}).Draw(w.t, "person")))
				continue
			}
			w.budget = nil
			return
		}
		w.step(next[rapid.IntRange(0, len(next)-1).Draw(w.t, "next")])
	}
}

// step lets one event happen, runs the actors, and checks the invariants.
func (w *simulation) step(tr transition) {
	w.t.Logf("%s %s", tr.kind, tr.subject)
	tr.do()
	w.act()
	w.check()
	if w.wrong != "" {
		w.t.Fatal(w.wrong)
	}
}

// possibleSteps can happen now without a fault.
func (w *simulation) possibleSteps() []transition {
	var next []transition
	add := func(kind, subject string, do func()) { next = append(next, transition{kind, subject, do}) }
	if len(w.script) > 0 {
		add("publish", string(w.script[0].Type), w.publishNext)
	}
	w.forget()
	for _, op := range w.running {
		switch {
		case !op.effective:
			add("effect of", op.String(), func() { w.takeEffect(op) })
		case op.by.alive():
			add("reply to", op.String(), func() { w.respond(op, fine) })
		}
	}
	waiting := w.now
	until := func(due time.Time) {
		if waiting.Equal(w.now) || due.Before(waiting) {
			waiting = due
		}
	}
	for _, t := range w.waits {
		if t.due.After(w.now) {
			until(t.due)
		} else {
			add("timer", t.by.node.name, func() {
				w.endWait(t)
				t.fire()
			})
		}
	}
	for _, m := range w.stored {
		switch {
		case m.settled, w.awaitsAck(m):
		case !m.pending && m.due.After(w.now):
			until(m.due)
		default:
			for _, n := range w.nodes {
				add("deliver", m.String()+" to "+n.name, func() { n.take(m) })
			}
		}
	}
	for _, n := range w.nodes {
		if n.failing {
			add("restart", n.name, n.restart)
		}
	}
	switch {
	case w.timer == nil:
	case w.timer.At.After(w.now):
		until(w.timer.At)
	default:
		add("fire", "", w.fire)
	}
	if waiting.After(w.now) {
		add("time passes", "", func() { w.now = waiting })
	}
	return next
}

// possibleFaults can happen now, within their budgets.
func (w *simulation) possibleFaults() []transition {
	var next []transition
	add := func(kind, subject string, do func()) {
		if w.budget[kind] > 0 {
			next = append(next, transition{kind, subject, do})
		}
	}
	w.forget()
	for _, n := range w.nodes {
		if len(n.pending) > 0 {
			add("crash", n.name, n.crash)
		}
		if n.actor != nil {
			add("defect", n.name, func() { n.fail(false) })
			add("give up", n.name, func() { n.fail(true) })
		}
	}
	for _, op := range w.running {
		switch {
		case op.replied || !op.by.alive():
			// A request of a stopped actor may get lost.
			add("request lost", op.String(), func() { op.effective, op.replied = true, true })
		case op.call:
			add("call timed out", op.String(), func() { w.respond(op, doubtful) })
			add("call deferred", op.String(), func() { w.respond(op, deferred) })
			if op.effective {
				continue
			}
			add("call failed", op.String(), func() {
				op.effective = true
				w.respond(op, failed)
			})
			add("call not sent", op.String(), func() {
				op.effective = true
				w.respond(op, unsendable)
			})
		case op.append != nil && op.effective:
			add("lost reply", op.String(), func() { w.respond(op, lost) })
			add("journal away", op.String(), func() { w.respond(op, failed) })
		default:
			// The request may still arrive.
			add("journal away", op.String(), func() { w.respond(op, failed) })
			if op.append != nil {
				add("lost reply", op.String(), func() { w.respond(op, lost) })
			}
		}
	}
	for _, m := range w.stored {
		switch {
		case m.settled:
			add("lost ack", m.String(), func() { w.loseAck(m, m.deliveries) })
			add("lost ack", m.String()+" and its delivery count", func() { w.loseAck(m, 0) })
		case m.inbox() && m.deliveries > 0:
			add("lost delivery count", m.String(), func() { w.loseAck(m, 0) })
		}
	}
	if slices.ContainsFunc(w.stored, w.purgeable) {
		add("purge", "", w.purge)
	}
	for _, m := range w.stored {
		switch {
		case m.settled, m.pending && (!w.awaitsAck(m) || w.sure(m)), !m.pending && !m.due.After(w.now):
			continue
		}
		for _, n := range w.nodes {
			add("redelivery", m.String()+" to "+n.name, func() { n.take(m) })
		}
	}
	if w.timer != nil && w.timer.At.After(w.now) {
		add("early wake", "", w.fire)
	}
	if len(w.script) > 0 {
		add("idle", "", func() { w.now = w.now.Add(90 * time.Second) })
	}
	if w.inAttention() {
		add("person", "", func() {
			w.publish(w.newMessage(rapid.SampledFrom([]string{"retry", "skip", "cancel", "other"}).Draw(w.t, "word")))
		})
	}
	return next
}
