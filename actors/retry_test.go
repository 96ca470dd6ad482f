package actors_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/orderly-engine/orderly/actors"
	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

const waiting = "accepted step_completed step_failed"

// waitingFixture is an order whose step "pay" failed once and is called again when the timers fire.
func waitingFixture(t *testing.T) *fixture {
	t.Helper()
	s := newFixture(t, func(c *actors.Config) { c.Rand = func() float64 { return 0.5 } })
	s.steps.plan["pay/do"] = []answer{{err: errDownstream}}
	s.deliver(newDelivery(messages.TypeCreated, 1, 1))
	s.await(t, "timer set")
	if got := s.memory.kinds(id); got != waiting {
		t.Fatalf("journal %q before the wait, want %q", got, waiting)
	}
	return s
}

// ends checks the journal after the wait, and that the actor neither failed nor read the journal during it.
func (s *fixture) ends(t *testing.T, want string) {
	t.Helper()
	s.await(t, "settle 1 done")
	if got := s.memory.kinds(id); got != waiting+" "+want {
		t.Errorf("journal %q, want %q", got, waiting+" "+want)
	}
	if reads := s.memory.readSoFar(); reads > 0 {
		t.Errorf("%d reads of the journal", reads)
	}
	if slices.ContainsFunc(s.all(), func(line string) bool { return strings.HasPrefix(line, "fail") }) {
		t.Errorf("the actor failed:\n%s", strings.Join(s.all(), "\n"))
	}
}

func (s *fixture) count(line string) (n int) {
	for _, l := range s.all() {
		if l == line {
			n++
		}
	}
	return n
}

func TestRetryNeedsNoRestartAndNoRead(t *testing.T) {
	s := waitingFixture(t)
	s.fire()
	s.ends(t, "step_completed step_completed,completed")
	if s.count("call pay/do #2") != 1 {
		t.Errorf("calls:\n%s", strings.Join(s.all(), "\n"))
	}
}

func TestRetryWithoutDelayStartsNoTimer(t *testing.T) {
	s := newFixture(t)
	s.steps.plan["pay/do"] = []answer{{err: errDownstream}}
	s.deliver(newDelivery(messages.TypeCreated, 1, 1))
	s.ends(t, "step_completed step_completed,completed")
	if s.count("timer set") > 0 {
		t.Error("a timer was set")
	}
}

// A message that does not change the next call is recorded during the wait, and the wait continues.
func TestSignalDuringRetry(t *testing.T) {
	s := waitingFixture(t)
	s.deliver(newDelivery(messages.TypeSignal, 2, 1))
	s.await(t, "settle 2 done")
	if s.count("call pay/do #2") > 0 {
		t.Error("the signal ended the wait")
	}
	s.fire()
	s.ends(t, "signalled step_completed step_completed,completed")
}

// A cancel ends the wait: the step in doubt is resolved at once (R4c).
func TestCancelDuringRetry(t *testing.T) {
	s := waitingFixture(t)
	s.deliver(newDelivery(messages.TypeCancel, 2, 1))
	s.await(t, "settle 2 done")
	s.ends(t, "cancel_requested step_completed step_undone step_undone,cancelled")
	if s.count("timer stopped") != 1 {
		t.Error("the timer still runs")
	}
	s.fire()
}

// A redelivery takes over, and the wait continues: its call is the same.
func TestRedeliveryDuringRetry(t *testing.T) {
	s := waitingFixture(t)
	s.deliver(newDelivery(messages.TypeCreated, 1, 2))
	s.await(t, "settle 1 dropped")
	s.await(t, "append resumed")
	if s.count("call pay/do #2") > 0 {
		t.Error("the takeover ended the wait")
	}
	s.fire()
	s.ends(t, "resumed step_completed step_completed,completed")
}

func TestGiveUpDuringRetry(t *testing.T) {
	s := waitingFixture(t)
	s.system.Root.Send(s.order, &delivery.GiveUp{Failure: &delivery.Failure{Kind: messages.Defect, Err: errors.New("panic: boom")}})
	s.ends(t, "attention")
}

// A driver that was fenced during the wait finds that out with its next append, and drops everything.
func TestFencedDuringRetry(t *testing.T) {
	s := waitingFixture(t)
	s.fence()
	s.deliver(newDelivery(messages.TypeSignal, 2, 1))
	s.await(t, "settle 1 dropped")
	s.await(t, "timer stopped")
	s.fire()
	s.await(t, "settle 2 done")
	if s.count("call pay/do #2") > 0 {
		t.Error("the fenced driver made its call")
	}
}

// The message of a timer that was stopped too late does not end the next wait.
func TestStoppedTimerFires(t *testing.T) {
	s := waitingFixture(t)
	s.steps.plan["pay/do"] = []answer{{err: errDownstream}}
	stopped := s.timer()
	s.deliver(newDelivery(messages.TypeCancel, 2, 1))
	s.awaitTimes(t, "timer set", 2)
	stopped()
	s.deliver(newDelivery(messages.TypeSignal, 3, 1))
	s.await(t, "settle 3 done")
	if s.count("call pay/do #3") > 0 {
		t.Error("the call was made before its time")
	}
	s.fire()
	s.ends(t, "cancel_requested step_failed signalled step_completed step_undone step_undone,cancelled")
}

// An actor that is stopped stops its timer.
func TestStopDuringRetry(t *testing.T) {
	s := waitingFixture(t)
	if err := s.system.Root.StopFuture(s.order).Wait(); err != nil {
		t.Fatal(err)
	}
	s.await(t, "timer stopped")
}

// fence lets another delivery take the order over.
func (s *fixture) fence() {
	entries := s.memory.History(id)
	body, err := journal.Encode(nil, &messages.JournalEntry{
		OrderId: string(id), Number: uint32(len(entries)) + 1, Events: []*messages.Event{{Kind: &messages.Event_Resumed{
			Resumed: &messages.OrderResumed{Driver: &messages.Source{Stream: messages.StreamOrders, Sequence: 1}, Incarnation: "another"},
		}}},
	})
	if err == nil {
		_, err = s.memory.Journal.Append(&journal.Append{OrderID: id, Expected: entries[len(entries)-1].Sequence, Body: body})
	}
	if err != nil {
		panic(err)
	}
}
