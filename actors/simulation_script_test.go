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
type script struct{ *simulation }

// scripted runs a simulation of one step with an undo and three nodes, without bounds on faults.
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
		w := &simulation{t: rt, pump: p, id: id, store: newMemoryStore(), now: epoch, truth: &order.State{},
			plan: &messages.Plan{Name: "test", Version: 1}, skipped: map[string]bool{}, recorded: map[uint64]bool{}, bodies: map[string]string{},
			owners: map[string]bool{}, arrivals: make(chan *operation), budget: map[string]int{}}
		s := &messages.Step{Name: "s1", Do: "sim:", Undo: "sim:", Retry: &messages.Retry{Attempts: 3}}
		w.plan.Steps = append(w.plan.Steps, s)
		w.effects = append(w.effects, &effect{step: s, pendings: 5})
		for _, n := range []string{"n1", "n2", "n3"} {
			w.nodes = append(w.nodes, newNode(w, n, false))
		}
		w.hold = time.Minute
		for _, k := range faults {
			w.budget[k] = 100
		}
		defer w.close()
		play(&script{w})
	})
}

// try lets the first transition of the kind happen whose subject has that part and that end, and reports whether there is
// one.
func (s *script) try(kind string, words ...string) bool {
	words = append(words, "", "")
	for _, tr := range append(s.possibleSteps(), s.possibleFaults()...) {
		if tr.kind == kind && strings.Contains(tr.subject, words[0]) && strings.HasSuffix(tr.subject, words[1]) {
			s.step(tr)
			return true
		}
	}
	return false
}

// do is try for a transition that must be possible.
func (s *script) do(kind string, words ...string) {
	if s.try(kind, words...) {
		return
	}
	var all []string
	for _, tr := range append(s.possibleSteps(), s.possibleFaults()...) {
		all = append(all, tr.kind+"|"+tr.subject)
	}
	s.t.Fatalf("cannot %s %v: %s", kind, words, strings.Join(all, "\n"))
}

// publish stores messages, one after another.
func (s *script) publish(kinds ...string) {
	for _, kind := range kinds {
		s.script = append(s.script, s.newMessage(kind))
		s.do("publish")
	}
}

func (s *script) pass(d time.Duration) { s.now = s.now.Add(d) }

// settle lets the node's operations take effect, and replies, until it has none.
func (s *script) settle(node string) { s.advance(node, func(*operation) bool { return true }) }

// work is settle until only step calls of the node are in progress.
func (s *script) work(node string) { s.advance(node, func(op *operation) bool { return !op.call }) }

// decide is settle until the node has decided to dead-letter or nak a message.
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

// TestScriptWakeAnsweredFromMemory: an actor that remembers the order, or has its state from a timer, must not acknowledge the
// only wake-up of a later park.
func TestScriptWakeAnsweredFromMemory(t *testing.T) {
	for node, knows := range map[string]string{"n3": "a driver fenced without knowing", "n2": "the state in an old timer"} {
		t.Run(knows, func(t *testing.T) {
			scripted(t, func(s *script) {
				s.publish("created")
				s.do("deliver", "order.created", "n1")
				for s.truth.Status != order.Parked { // accepted, call pending, parked; its schedule hangs
					for _, tr := range s.possibleSteps() {
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

// TestScriptAcceptedDuringLookUp: the order is accepted between the read of the journal and the look into the inbox; its cancel
// must not be dead-lettered.
func TestScriptAcceptedDuringLookUp(t *testing.T) {
	scripted(t, func(s *script) {
		s.publish("created", "cancel")
		s.pass(2 * time.Minute) // nobody was there
		s.do("deliver", "order.cancel", "n2")
		s.do("effect of", "n2 read")
		s.do("reply to", "n2 read")
		s.do("deliver", "order.created", "n1")
		s.settle("n1") // accepted, parked, acknowledged
		s.do("purge")
		s.settle("n2")
		if s.truth.Status != order.Cancelled {
			s.t.Fatalf("%s, want cancelled", s.truth.Status)
		}
	})
}

// TestScriptMessageHeldTooLong is neither recorded nor nak'ed once another delivery of it may dead-letter it: the order may be
// accepted between the look-up and the dead letter.
func TestScriptMessageHeldTooLong(t *testing.T) {
	// accepted publishes and handles a created message, and delivers the cancel if possible, before n2 dead-letters it.
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

// waitEarlier is the nak delay of a message with a predecessor.
const waitEarlier = 250 * time.Millisecond

// TestScriptLostAcknowledgement: an acknowledged message that is delivered again takes no effect, even as a first delivery.
func TestScriptLostAcknowledgement(t *testing.T) {
	// again lets the server lose the acknowledgement and the count of deliveries, and delivers the message to n3.
	again := func(s *script, what string, status ...order.Status) {
		if !slices.Contains(status, s.truth.Status) {
			s.t.Fatalf("%s, want %v", s.truth.Status, status)
		}
		entries := len(s.entries)
		s.do("lost ack", what, "and its delivery count")
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

// TestScriptSettledDuplicate delays no message: nothing waits for a purge, which messages of other orders can delay.
func TestScriptSettledDuplicate(t *testing.T) {
	scripted(t, func(s *script) {
		s.publish("created", "duplicate", "cancel")
		for _, message := range []string{"order.created 1", "order.created 2", "order.cancel"} {
			s.do("deliver", message, "n1")
			s.settle("n1")
		}
		if s.truth.Status != order.Cancelled {
			s.t.Fatalf("%s, and the cancel waits", s.truth.Status)
		}
		s.do("purge")
		if len(s.stored) > 0 {
			s.t.Fatalf("a purge leaves %v", s.stored)
		}
	})
}

// TestScriptDeadLetterDuringAcceptance: a message that a node is about to dead-letter is not recorded with the acceptance of an
// order that was published since.
func TestScriptDeadLetterDuringAcceptance(t *testing.T) {
	scripted(t, func(s *script) {
		s.publish("cancel")
		s.pass(2 * time.Minute)
		s.do("deliver", "order.cancel", "n1")
		s.decide("n1")
		s.publish("created", "other")
		s.pass(2 * lateAfter)
		s.do("deliver", "order.created", "n2")
		s.settle("n2")
		s.settle("n1")
		s.do("deliver", "order.signal", "n2")
		s.settle("n2")
		if s.truth.Cancel != nil || s.truth.Watermark != 4 {
			s.t.Fatalf("cancel %v, recorded up to %d, want no cancel, up to 4", s.truth.Cancel, s.truth.Watermark)
		}
	})
}

// TestScriptPublishedDuringSearch: a message that grows too old while the inbox is searched is not dead-lettered: its created
// message may have been published in time and after the search.
func TestScriptPublishedDuringSearch(t *testing.T) {
	scripted(t, func(s *script) {
		s.publish("cancel")
		s.pass(time.Minute - time.Second/4)
		s.do("deliver", "order.cancel", "n1")
		s.do("effect of", "n1 read")
		s.do("reply to", "n1 read") // nothing precedes it
		s.publish("created")
		s.pass(time.Second / 2)
		s.settle("n1")
		s.do("deliver", "order.created", "n1")
		s.settle("n1")
		if s.truth.Cancel == nil {
			s.t.Fatalf("%s, and the cancel took no effect", s.truth.Status)
		}
	})
}
