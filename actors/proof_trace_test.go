package actors_test

import (
	"flag"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// script lets a test choose what happens next.
type script struct{ *world }

// scripted plays in a world of one step with an undo, three nodes, and no bound on what goes wrong.
func scripted(t *testing.T, play func(*script)) {
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
		s := &messages.Step{Name: "s1", Do: "sim:", Undo: "sim:", Retry: &messages.Retry{Attempts: 3}}
		w.plan.Steps = append(w.plan.Steps, s)
		w.effects = append(w.effects, &effect{step: s, pendings: 5})
		for _, n := range []string{"n1", "n2", "n3"} {
			w.nodes = append(w.nodes, newNode(w, n, false))
		}
		w.hold = time.Minute
		for _, k := range disturbances {
			w.budget[k] = 100
		}
		defer w.close()
		play(&script{w})
	})
}

// try lets the first transition happen that has the kind, the part of the subject and its end, and reports whether there
// is one.
func (s *script) try(kind string, words ...string) bool {
	words = append(words, "", "")
	for _, tr := range append(s.ordinary(), s.disturbing()...) {
		if tr.kind == kind && strings.Contains(tr.subject, words[0]) && strings.HasSuffix(tr.subject, words[1]) {
			s.step(tr)
			return true
		}
	}
	return false
}

// do is try for what must be possible.
func (s *script) do(kind string, words ...string) {
	if s.try(kind, words...) {
		return
	}
	var all []string
	for _, tr := range append(s.ordinary(), s.disturbing()...) {
		all = append(all, tr.kind+"|"+tr.subject)
	}
	s.t.Fatalf("cannot %s %v: %s", kind, words, strings.Join(all, "\n"))
}

// publish stores messages, one after another.
func (s *script) publish(kinds ...string) {
	for _, kind := range kinds {
		s.script = append(s.script, s.letter(kind))
		s.do("publish")
	}
}

func (s *script) pass(d time.Duration) { s.now = s.now.Add(d) }

// settle lets a node's operations take effect and be replied to, until it has none.
func (s *script) settle(node string) { s.advance(node, func(*operation) bool { return true }) }

// work is settle up to the moment at which the node's calls are under way.
func (s *script) work(node string) { s.advance(node, func(op *operation) bool { return !op.call }) }

// decide is settle up to the moment at which the node has decided to bury a message, or to give it back.
func (s *script) decide(node string) {
	s.advance(node, func(op *operation) bool { return op.settles == nil })
}

func (s *script) advance(node string, which func(*operation) bool) {
	for {
		s.forget()
		i := slices.IndexFunc(s.running, func(op *operation) bool {
			return op.by.node.name == node && which(op) && (!op.effective || op.by.alive())
		})
		if i < 0 {
			return
		}
		if op := s.running[i]; op.effective {
			s.do("reply to", op.String())
		} else {
			s.do("effect of", op.String())
		}
	}
}

// TestProofWakeAnsweredFromMemory: who remembers an order, or learns from a timer where it stood, must not let go the only
// wake-up of a later park.
func TestProofWakeAnsweredFromMemory(t *testing.T) {
	for node, knows := range map[string]string{"n3": "what it drove, fenced and without knowing it", "n2": "what an old timer tells"} {
		t.Run(knows, func(t *testing.T) {
			scripted(t, func(s *script) {
				s.publish("created")
				s.do("deliver", "order.created", "n1")
				for s.truth.Status != order.Parked { // accepted, call pending, parked; its schedule hangs
					for _, tr := range s.ordinary() {
						if strings.HasPrefix(tr.subject, "n1 ") {
							s.step(tr)
							break
						}
					}
				}
				s.do("reply to", "n1 append")
				s.do("redelivery", "order.created", "n2")
				s.settle("n2") // schedules the park again, acknowledges
				s.do("time passes")
				s.do("fire")
				s.do("deliver", "order.wake", "n3")
				s.do("effect of", "n3 append")
				s.do("reply to", "n3 append") // n3 drives, its call hangs
				s.do("redelivery", "order.wake", "n2")
				s.settle("n2") // takes over, parks again, schedules, acknowledges
				s.t.Logf("park %d, timer %d", s.truth.Park, s.timer.Park)
				s.settle("n1") // its old schedule arrives and replaces the new one
				s.t.Logf("park %d, timer %d", s.truth.Park, s.timer.Park)
				s.do("fire")
				s.do("deliver", "order.wake", node)
				s.settle(node) // finds out, and schedules the later park again
				if s.timer == nil || s.timer.Park != s.truth.Park {
					s.t.Fatalf("parked at %d, timer %v", s.truth.Park, s.timer)
				}
			})
		})
	}
}

// TestProofCancelBuriedThoughItsOrderExists: an order that is accepted between the read of its journal and the look into the
// inbox is an order.
func TestProofCancelBuriedThoughItsOrderExists(t *testing.T) {
	scripted(t, func(s *script) {
		s.publish("created", "cancel")
		s.pass(2 * time.Minute) // nobody was there
		s.do("deliver", "order.cancel", "n2")
		s.do("effect of", "n2 read")
		s.do("reply to", "n2 read")
		s.do("deliver", "order.created", "n1")
		s.settle("n1") // accepted, parked, acknowledged
		s.settle("n2")
	})
}

// TestProofHeldMessageTakesEffect not, and is not given back, once there may be another delivery of it that buries it: after
// the order was looked for and before the dead letter is stored, the order may come to be.
func TestProofHeldMessageTakesEffect(t *testing.T) {
	// accepted lets a created message come and be acted on, and the cancel take effect if anybody gets it, before n2 buries it.
	accepted := func(s *script, cancel string) {
		s.publish("created")
		s.do("deliver", "order.created", "n3")
		s.settle("n3")
		s.settle("n1")
		if s.try("deliver", cancel, "n3") {
			s.settle("n3")
		}
		s.settle("n2")
	}
	t.Run("before it is too old", func(t *testing.T) {
		scripted(t, func(s *script) {
			s.publish("cancel")
			s.pass(time.Minute - ackWait - time.Second/2)
			s.do("deliver", "order.cancel", "n1")
			s.do("redelivery", "order.cancel", "n2")
			s.settle("n1")
			s.pass(time.Second) // now it is
			s.decide("n2")
			accepted(s, "order.cancel")
		})
	})
	t.Run("in an order it found", func(t *testing.T) {
		scripted(t, func(s *script) {
			s.publish("cancel")
			s.pass(2 * time.Minute)
			s.do("deliver", "order.cancel", "n1")
			s.do("redelivery", "order.cancel", "n2")
			s.decide("n2")
			accepted(s, "order.cancel")
		})
	})
	t.Run("behind an earlier one", func(t *testing.T) {
		scripted(t, func(s *script) {
			s.publish("cancel", "cancel")
			s.pass(2 * time.Minute)
			s.do("deliver", "order.cancel 2", "n1")
			s.do("redelivery", "order.cancel 2", "n2")
			s.settle("n1")
			s.do("deliver", "order.cancel 1", "n1")
			s.settle("n1")
			s.pass(waitEarlier)
			s.decide("n2")
			accepted(s, "order.cancel 2")
		})
	})
}

// waitEarlier is how long a message is put off that is behind an earlier one.
const waitEarlier = 250 * time.Millisecond

// TestProofForgottenAcknowledgement: what was acknowledged and comes again does nothing, even as a first delivery.
func TestProofForgottenAcknowledgement(t *testing.T) {
	// again lets the server forget that it ever delivered the message, and n3 have it.
	again := func(s *script, what string, status ...order.Status) {
		if !slices.Contains(status, s.truth.Status) {
			s.t.Fatalf("%s, want %v", s.truth.Status, status)
		}
		entries := len(s.entries)
		s.do("forgotten ack", what, "and its deliveries")
		s.do("deliver", what, "n3")
		s.settle("n3")
		if len(s.entries) > entries {
			s.t.Fatalf("%s is acted on again: %v", what, s.entries[entries:])
		}
		if !slices.ContainsFunc(s.stored, func(m *message) bool { return m.settled && strings.HasPrefix(m.String(), what) }) {
			s.t.Fatalf("%s is not acknowledged again", what)
		}
	}
	t.Run("created", func(t *testing.T) {
		scripted(t, func(s *script) {
			s.publish("created")
			s.do("deliver", "order.created", "n1")
			s.settle("n1")
			again(s, "order.created", order.Parked)
			s.do("time passes")
			s.do("fire")
			s.do("deliver", "order.wake", "n2")
			s.work("n2")
			again(s, "order.created", order.Running)
			s.publish("cancel")
			s.do("deliver", "order.cancel", "n1")
			s.settle("n1")
			s.settle("n2")
			again(s, "order.created", order.Cancelled)
			again(s, "order.cancel", order.Cancelled)
		})
	})
	t.Run("retry", func(t *testing.T) {
		scripted(t, func(s *script) {
			s.plan.Steps[0].Retry.Attempts = 1
			s.publish("created", "retry")
			for _, message := range []string{"order.created", "order.retry"} {
				s.do("deliver", message, "n1")
				s.work("n1")
				s.do("call failed", "n1 call")
				s.settle("n1")
				again(s, message, order.Attention)
			}
		})
	})
}

// TestProofSettledDuplicateHoldsBack nothing, and nothing waits for a sweep, which messages of other orders can hold up.
func TestProofSettledDuplicateHoldsBack(t *testing.T) {
	scripted(t, func(s *script) {
		s.publish("created", "duplicate", "cancel")
		for _, message := range []string{"order.created 1", "order.created 2", "order.cancel"} {
			s.do("deliver", message, "n1")
			s.settle("n1")
		}
		if s.truth.Status != order.Cancelled {
			s.t.Fatalf("%s, and the cancel waits", s.truth.Status)
		}
		s.do("sweep")
		if len(s.stored) > 0 {
			s.t.Fatalf("a sweep leaves %v", s.stored)
		}
	})
}
