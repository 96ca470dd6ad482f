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
	"github.com/orderly-engine/orderly/messages/natstest"
	"google.golang.org/protobuf/proto"
)

const happy = "accepted step_completed step_completed step_completed,completed"

func TestHappyPathNeedsNoRead(t *testing.T) {
	s := newFixture(t)
	s.deliver(newDelivery(messages.TypeCreated, 1, 1))
	s.await(t, "settle 1 done")
	want := []string{
		"append accepted", "call reserve/do #1", "append step_completed", "call pay/do #1", "append step_completed",
		"call ship/do #1", "append step_completed,completed", "settle 1 done",
	}
	if got := s.all(); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if s.memory.reads != 0 {
		t.Errorf("%d reads of the journal on the happy path", s.memory.reads)
	}
	if s.steps.token["pay/do"] != 2 {
		t.Errorf("fencing token of the second step is %d, want the sequence of the entry it acts on, 2", s.steps.token["pay/do"])
	}
}

func TestAnswersThatComeLater(t *testing.T) {
	s := newFixture(t)
	for _, key := range []string{"reserve/do", "pay/do", "ship/do"} {
		s.steps.plan[key] = []answer{{later: true}}
	}
	s.deliver(newDelivery(messages.TypeCreated, 1, 1))
	for _, step := range []string{"reserve", "pay", "ship"} {
		s.await(t, "call "+step+"/do #1")
		s.steps.release(step+"/do", answer{reply: reply("done")})
	}
	s.await(t, "settle 1 done")
	if got := s.memory.kinds(id); got != happy {
		t.Errorf("journal %q, want %q", got, happy)
	}
}

func TestAppendWhoseReplyIsLostIsMerged(t *testing.T) {
	for _, kinds := range []string{"accepted", "step_completed"} {
		t.Run(kinds, func(t *testing.T) {
			s := newFixture(t)
			s.memory.loseReply = kinds
			s.deliver(newDelivery(messages.TypeCreated, 1, 1))
			s.await(t, "settle 1 done")
			if got := s.memory.kinds(id); got != happy {
				t.Errorf("journal %q, want %q", got, happy)
			}
		})
	}
}

// After a lost reply to the last append the order has no driver: the delivery is dropped, and its redelivery finds the end.
func TestLostReplyToTheEnd(t *testing.T) {
	s := newFixture(t)
	s.memory.loseReply = "step_completed,completed"
	s.deliver(newDelivery(messages.TypeCreated, 1, 1))
	s.await(t, "settle 1 dropped")
	s.deliver(newDelivery(messages.TypeCreated, 1, 2))
	s.await(t, "settle 1 done")
	if got := s.memory.kinds(id); got != happy {
		t.Errorf("journal %q, want %q", got, happy)
	}
}

func TestFencedDriverDropsEverything(t *testing.T) {
	s := newFixture(t)
	s.steps.plan["pay/do"] = []answer{{later: true}}
	s.deliver(newDelivery(messages.TypeCreated, 1, 1))
	s.await(t, "call pay/do #1")

	other := newFixture(t)
	other.memory.Journal = s.memory.Journal
	other.steps.plan["pay/do"] = []answer{{later: true}}
	other.deliver(newDelivery(messages.TypeCreated, 1, 2))
	other.await(t, "append resumed")

	s.steps.release("pay/do", answer{reply: reply("done")})
	s.await(t, "settle 1 dropped")
	if lines := s.all(); lines[len(lines)-1] != "settle 1 dropped" || slices.Contains(lines, "call ship/do #1") {
		t.Errorf("a fenced driver went on:\n%s", strings.Join(lines, "\n"))
	}
	other.await(t, "call pay/do #1")
	other.steps.release("pay/do", answer{reply: reply("done")})
	other.await(t, "settle 1 done")
}

// A call that waits for its turn is dropped once its driver is fenced, failed or stopped (R4).
func TestCallOfAnEndedDriverIsDropped(t *testing.T) {
	for name, end := range map[string]func(*fixture){
		"fenced": func(s *fixture) {
			s.fence()
			s.deliver(newDelivery(messages.TypeSignal, 2, 1))
			s.await(t, "settle 1 dropped")
		},
		"failed": func(s *fixture) {
			s.memory.mu.Lock()
			s.memory.before = func(kinds string) error {
				return &delivery.Failure{Kind: messages.Infrastructure, Err: errors.New("no quorum for " + kinds)}
			}
			s.memory.mu.Unlock()
			s.deliver(newDelivery(messages.TypeSignal, 2, 1))
			s.await(t, "fail infrastructure")
		},
		"stopped": func(s *fixture) {
			if err := s.system.Root.StopFuture(s.order).Wait(); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t)
			s.steps.plan["pay/do"] = []answer{{later: true}}
			s.deliver(newDelivery(messages.TypeCreated, 1, 1))
			s.await(t, "call pay/do #1")
			waiting := s.steps.call("pay/do")
			if waiting.Dropped() {
				t.Fatal("the call of a driver is dropped")
			}
			end(s)
			natstest.Eventually(t, "the call is dropped", waiting.Dropped)
		})
	}
}

func TestSpentRetriesNeedAttention(t *testing.T) {
	s := newFixture(t, func(c *actors.Config) {
		c.Plan = proto.CloneOf(testPlan)
		c.Plan.Steps[1].Retry = &messages.Retry{Attempts: 1}
	})
	s.steps.plan["pay/do"] = []answer{{err: errDownstream}}
	s.deliver(newDelivery(messages.TypeCreated, 1, 1))
	s.await(t, "settle 1 done")
	if got := s.memory.kinds(id); got != "accepted step_completed step_failed,attention" {
		t.Errorf("journal %q", got)
	}
}

func TestRejectionUndoesInReverse(t *testing.T) {
	s := newFixture(t)
	s.steps.plan["ship/do"] = []answer{{reply: reply("rejected")}}
	s.deliver(newDelivery(messages.TypeCreated, 1, 1))
	s.await(t, "settle 1 done")
	lines := s.all()
	if pay, reserve := slices.Index(lines, "call pay/undo #1"), slices.Index(lines, "call reserve/undo #1"); pay < 0 || reserve < pay {
		t.Errorf("undo order:\n%s", strings.Join(lines, "\n"))
	}
	if got, want := s.memory.kinds(id), "accepted step_completed step_completed step_rejected step_undone step_undone,rejected"; got != want {
		t.Errorf("journal %q, want %q", got, want)
	}
}

func TestCancelSettlesTheStepInDoubtFirst(t *testing.T) {
	s := newFixture(t)
	s.steps.plan["pay/do"] = []answer{{later: true}}
	s.deliver(newDelivery(messages.TypeCreated, 1, 1))
	s.await(t, "call pay/do #1")
	s.deliver(newDelivery(messages.TypeCancel, 2, 1))
	s.await(t, "settle 2 done")
	s.steps.release("pay/do", answer{reply: reply("done")})
	s.await(t, "settle 1 done")
	if got, want := s.memory.kinds(id), "accepted step_completed cancel_requested step_completed step_undone step_undone,cancelled"; got != want {
		t.Errorf("journal %q, want %q", got, want)
	}
	if slices.Contains(s.all(), "call ship/do #1") {
		t.Error("a step was called after the cancel")
	}
}

func TestInvalidOrderEndsRejected(t *testing.T) {
	s := newFixture(t)
	d := newDelivery(messages.TypeCreated, 1, 1)
	d.Invalid = errors.New("customer_id is missing")
	s.deliver(d)
	s.await(t, "settle 1 done")
	if got := s.memory.kinds(id); got != "accepted,rejected" {
		t.Errorf("journal %q", got)
	}
}

func TestSameIDAgain(t *testing.T) {
	s := newFixture(t)
	s.deliver(newDelivery(messages.TypeCreated, 1, 1))
	s.await(t, "settle 1 done")
	// The journal names neither a duplicate nor what comes after the end. It names what is only delivered again.
	s.deliver(newDelivery(messages.TypeCreated, 2, 1))
	s.await(t, "settle 2 done without effect")
	s.deliver(newDelivery(messages.TypeCancel, 4, 1))
	s.await(t, "settle 4 done without effect")
	s.deliver(newDelivery(messages.TypeCreated, 1, 2))
	different := newDelivery(messages.TypeCreated, 3, 1)
	different.Created.CustomerId = "c-2"
	s.deliver(different)
	s.await(t, "settle 3 dead(order o-1 exists with different content)")
	if slices.Contains(s.all(), "settle 1 done without effect") {
		t.Error("the message that created the order is settled without effect")
	}
	if got := s.memory.kinds(id); got != happy {
		t.Errorf("journal %q, want %q", got, happy)
	}
}

func TestMessagesTakeEffectInOrder(t *testing.T) {
	s := newFixture(t)
	s.steps.plan["pay/do"] = []answer{{later: true}}
	s.deliver(newDelivery(messages.TypeCreated, 1, 1))
	s.await(t, "call pay/do #1")
	s.inbox.mu.Lock()
	s.inbox.stored, s.inbox.created = []uint64{1, 2, 3}, []uint64{1}
	s.inbox.mu.Unlock()
	s.deliver(newDelivery(messages.TypeSignal, 3, 1))
	s.await(t, "settle 3 later(250ms)")
	s.deliver(newDelivery(messages.TypeCancel, 2, 1))
	s.await(t, "settle 2 done")
	s.deliver(newDelivery(messages.TypeSignal, 3, 2))
	s.await(t, "settle 3 done")
}

func TestRestartBudgetSpentEndsInAttention(t *testing.T) {
	s := newFixture(t)
	s.system.Root.Send(s.order, &delivery.GiveUp{Failure: &delivery.Failure{Kind: messages.Defect, Err: errors.New("panic: boom")}})
	s.deliver(newDelivery(messages.TypeCreated, 1, 6))
	s.await(t, "settle 1 done")
	if got := s.memory.kinds(id); got != "accepted attention" {
		t.Errorf("journal %q", got)
	}
}

// A conflict must not make the order go on instead.
func TestGivingUpSurvivesAConflict(t *testing.T) {
	s := newFixture(t)
	refused := 0
	s.memory.before = func(kinds string) error {
		if kinds == "attention" && refused == 0 {
			refused++
			return journal.ErrConflict
		}
		return nil
	}
	s.system.Root.Send(s.order, &delivery.GiveUp{Failure: &delivery.Failure{Kind: messages.Defect, Err: errors.New("panic: boom")}})
	s.deliver(newDelivery(messages.TypeCreated, 1, 6))
	s.await(t, "settle 1 done")
	if got := s.memory.kinds(id); got != "accepted attention" || refused != 1 {
		t.Errorf("journal %q after %d conflicts", got, refused)
	}
	// A person's retry starts anew.
	s.inbox.stored = []uint64{2}
	s.deliver(newDelivery(messages.TypeRetry, 2, 1))
	s.await(t, "settle 2 done")
	if got := s.memory.kinds(id); got != "accepted attention recorded,resumed step_completed step_completed step_completed,completed" {
		t.Errorf("journal %q after a retry", got)
	}
}

func TestJournalAwayIsAnInfrastructureFailure(t *testing.T) {
	s := newFixture(t)
	s.memory.before = func(string) error {
		return &delivery.Failure{Kind: messages.Infrastructure, Err: errors.New("down")}
	}
	d := newDelivery(messages.TypeCreated, 1, 1)
	s.deliver(d)
	s.await(t, "fail infrastructure")
	s.memory.mu.Lock()
	s.memory.before = nil
	s.memory.mu.Unlock()
	s.deliver(d)
	s.await(t, "settle 1 done")
}

// A journal that cannot be understood must not settle the message.
func TestUnreadableJournalIsADefect(t *testing.T) {
	s := newFixture(t)
	body, err := journal.Encode(nil, &messages.JournalEntry{OrderId: string(id), Number: 7})
	if err == nil {
		_, err = s.memory.Journal.Append(&journal.Append{OrderID: id, Body: body})
	}
	if err != nil {
		t.Fatal(err)
	}
	s.deliver(newDelivery(messages.TypeCreated, 1, 2))
	s.await(t, "fail defect")
	if slices.ContainsFunc(s.all(), func(l string) bool { return strings.HasPrefix(l, "settle") }) {
		t.Error("settled a delivery whose order cannot be read")
	}
}

// The reply to a call of a fenced driver is ignored: its order has another owner (I3).
func TestReplyToAFencedDriver(t *testing.T) {
	s := newFixture(t)
	s.steps.plan["pay/do"] = []answer{{later: true}}
	s.deliver(newDelivery(messages.TypeCreated, 1, 1))
	s.await(t, "call pay/do #1")
	s.fence()
	s.deliver(newDelivery(messages.TypeSignal, 2, 1))
	s.await(t, "settle 2 done")
	s.steps.release("pay/do", answer{reply: reply("done")})
	s.deliver(newDelivery(messages.TypeSignal, 3, 1))
	s.await(t, "settle 3 done")
	if got, want := s.memory.kinds(id), "accepted step_completed resumed signalled signalled"; got != want {
		t.Errorf("journal %q, want %q", got, want)
	}
}

// A delivery that arrives twice must not take over from itself.
func TestSameDeliveryTwice(t *testing.T) {
	s := newFixture(t)
	s.steps.plan["pay/do"] = []answer{{later: true}}
	d := newDelivery(messages.TypeCreated, 1, 1)
	s.deliver(d)
	s.await(t, "call pay/do #1")
	s.deliver(d)
	s.deliver(newDelivery(messages.TypeSignal, 2, 1))
	s.await(t, "settle 2 done")
	s.steps.release("pay/do", answer{reply: reply("done")})
	s.await(t, "settle 1 done")
	if s.count("settle 1 dropped") > 0 {
		t.Error("the driver was dropped")
	}
}

// A completion that arrives after a restart must not settle a delivery of the new instance.
func TestCompletionOfAnEarlierInstance(t *testing.T) {
	s := newFixture(t)
	s.steps.plan["reserve/do"] = []answer{{later: true}, {later: true}}
	created, signal := newDelivery(messages.TypeCreated, 1, 1), newDelivery(messages.TypeSignal, 2, 1)
	s.deliver(created)
	s.await(t, "call reserve/do #1")
	broken := make(chan func(), 1)
	s.memory.broken = broken
	s.deliver(signal)
	s.await(t, "fail defect")
	s.deliver(created) // as the supervisor does after a restart
	s.deliver(signal)
	s.await(t, "settle 2 done")
	(<-broken)()
	s.deliver(newDelivery(messages.TypeSignal, 3, 1))
	s.await(t, "settle 3 done")
	if n := s.count("settle 2 done"); n != 1 {
		t.Errorf("settled %d times", n)
	}
}

// TestPanicInTheBackground fails the actor, not the node.
func TestPanicInTheBackground(t *testing.T) {
	s := newFixture(t)
	s.memory.readPanic = true
	s.deliver(newDelivery(messages.TypeCancel, 2, 2))
	s.await(t, "fail defect")
	s.deliver(newDelivery(messages.TypeCreated, 1, 1))
	s.await(t, "settle 1 done")
}
