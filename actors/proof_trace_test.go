package actors_test

import (
	"flag"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// scripted lets a test choose what happens next.
func scripted(t *testing.T, play func(w *world, do func(...string), settle func(string))) {
	t.Helper()
	checks := flag.Lookup("rapid.checks").Value
	before := checks.String()
	if err := checks.Set("1"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := checks.Set(before); err != nil {
			t.Error(err)
		}
	})
	p := newPump(t)
	rapid.Check(t, func(rt *rapid.T) {
		w := &world{t: rt, pump: p, id: id, keeper: &memoryKeeper{}, now: epoch, truth: &order.State{},
			plan: &messages.Plan{Name: "test", Version: 1}, skipped: map[string]bool{}, recorded: map[uint64]bool{},
			owners: map[string]bool{}, arrivals: make(chan *operation), budget: map[string]int{}}
		s := &messages.Step{Name: "s1", Do: "sim:", Undo: "sim:"}
		w.plan.Steps = append(w.plan.Steps, s)
		w.effects = append(w.effects, &effect{step: s, pendings: 5})
		for _, n := range []string{"n1", "n2", "n3"} {
			w.nodes = append(w.nodes, newNode(w, n, false))
		}
		w.policy = policy(3, false)
		for _, k := range disturbances {
			w.budget[k] = 100
		}
		defer w.close()
		do := func(words ...string) {
			for _, tr := range append(w.ordinary(), w.disturbing()...) {
				if tr.kind == words[0] && (len(words) == 1 || strings.Contains(tr.subject, words[1])) && (len(words) < 3 || strings.HasSuffix(tr.subject, words[2])) {
					w.step(tr)
					return
				}
			}
			var all []string
			for _, tr := range append(w.ordinary(), w.disturbing()...) {
				all = append(all, tr.kind+"|"+tr.subject)
			}
			rt.Fatalf("cannot %v: %s", words, strings.Join(all, "\n"))
		}
		// settle lets a node's operations take effect and be replied to, until it has none.
		settle := func(node string) {
			for again := true; again; {
				again = false
				for _, tr := range w.ordinary() {
					if (tr.kind == "effect of" || tr.kind == "reply to") && strings.HasPrefix(tr.subject, node+" ") {
						w.step(tr)
						again = true
						break
					}
				}
			}
		}
		play(w, do, settle)
	})
}

// TestWakeAnsweredFromMemory: a driver that was fenced and does not know it must not let go the only wake-up of a later
// park.
func TestWakeAnsweredFromMemory(t *testing.T) {
	scripted(t, func(w *world, do func(...string), settle func(string)) {
		w.script = append(w.script, w.letter("created"))
		do("publish")
		do("deliver", "order.created", "n1")
		for w.truth.Status != order.Parked { // accepted, call pending, parked; its schedule hangs
			for _, tr := range w.ordinary() {
				if strings.HasPrefix(tr.subject, "n1 ") {
					w.step(tr)
					break
				}
			}
		}
		do("reply to", "n1 append")
		do("redelivery", "order.created", "n2")
		settle("n2") // schedules the park again, acknowledges
		do("time passes")
		do("fire")
		do("deliver", "order.wake", "n3")
		do("effect of", "n3 read")
		do("reply to", "n3 read")
		do("effect of", "n3 append")
		do("reply to", "n3 append") // n3 drives, its call hangs
		do("redelivery", "order.wake", "n2")
		settle("n2") // takes over, parks again, schedules, acknowledges
		w.t.Logf("park %d, timer %v", w.truth.Park, w.timer)
		settle("n1") // its old schedule arrives and replaces the new one
		w.t.Logf("park %d, timer %v", w.truth.Park, w.timer)
		do("fire")
		do("deliver", "order.wake", "n3")
	})
}

// TestCancelBuriedThoughItsOrderExists: an order that is accepted between the read of its journal and the look into the
// inbox is an order.
func TestCancelBuriedThoughItsOrderExists(t *testing.T) {
	scripted(t, func(w *world, do func(...string), settle func(string)) {
		w.script = append(w.script, w.letter("created"), w.letter("cancel"))
		do("publish")
		do("publish")
		w.now = w.now.Add(2 * time.Minute) // nobody was there
		do("deliver", "order.cancel", "n2")
		do("effect of", "n2 read")
		do("reply to", "n2 read")
		do("deliver", "order.created", "n1")
		settle("n1") // accepted, parked, acknowledged
		settle("n2")
		if s := w.truth; s.Status == order.Parked && len(w.stored) == 0 && !w.recorded[2] {
			w.t.Fatal("the cancel is a dead letter, its order is parked")
		}
	})
}
