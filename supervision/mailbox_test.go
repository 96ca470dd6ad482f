package supervision

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/asynkron/protoactor-go/actor"
	"pgregory.net/rapid"
)

// invoker writes down what it is invoked with and panics at the messages in fails.
type invoker struct {
	got   []any
	fails map[any]bool
	// onFailure is called where protoactor would report to the parent.
	onFailure func()
}

func (i *invoker) InvokeSystemMessage(m any) { i.InvokeUserMessage(m) }

func (i *invoker) InvokeUserMessage(m any) {
	i.got = append(i.got, m)
	if i.fails[m] {
		panic(m)
	}
}

func (i *invoker) EscalateFailure(_, m any) {
	i.got = append(i.got, "failed")
	if i.onFailure != nil {
		i.onFailure()
	}
}

// later runs what is scheduled when it is told to.
type later struct{ scheduled []func() }

func (l *later) Schedule(fn func()) { l.scheduled = append(l.scheduled, fn) }
func (*later) Throughput() int      { return 1 }

func (l *later) run() {
	for len(l.scheduled) > 0 {
		fn := l.scheduled[0]
		l.scheduled = l.scheduled[1:]
		fn()
	}
}

func TestMailboxHandlesSystemMessagesFirstAndStartsWithADelivery(t *testing.T) {
	var m mailbox
	var i invoker
	var l later
	m.RegisterHandlers(&i, &l)
	m.PostSystemMessage(&actor.Started{})
	if len(l.scheduled) != 0 {
		t.Fatal("Started alone wakes a goroutine")
	}
	m.PostUserMessage(1)
	m.PostUserMessage(2)
	m.PostSystemMessage("stop")
	if len(l.scheduled) != 1 || m.UserMessageCount() != 2 {
		t.Fatalf("scheduled %d times with %d user messages, want once with 2", len(l.scheduled), m.UserMessageCount())
	}
	l.run()
	if _, ok := i.got[0].(*actor.Started); !ok || !slices.Equal(i.got[1:], []any{"stop", 1, 2}) {
		t.Fatalf("handled %v, want Started, stop, 1, 2", i.got)
	}
}

func TestMailboxPassesNoUserMessageToAFailedActor(t *testing.T) {
	var m mailbox
	var l later
	i := invoker{fails: map[any]bool{1: true, "last words": true}}
	m.RegisterHandlers(&i, &l)
	m.PostUserMessage(1)
	m.PostUserMessage(2)
	l.run()
	m.PostUserMessage(3)
	m.PostSystemMessage("last words")
	m.PostSystemMessage("stop")
	l.run()
	if want := []any{1, "failed", "last words", "failed", "stop"}; !slices.Equal(i.got, want) {
		t.Fatalf("handled %v, want %v", i.got, want)
	}
	m.PostSystemMessage(&actor.ResumeMailbox{})
	l.run()
	if !slices.Equal(i.got[5:], []any{2, 3}) {
		t.Fatalf("handled %v after it was resumed, want 2 and 3", i.got[5:])
	}
}

func TestMailboxSuspends(t *testing.T) {
	var m mailbox
	var l later
	i := invoker{}
	m.RegisterHandlers(&i, &l)
	m.PostSystemMessage(&actor.SuspendMailbox{})
	m.PostUserMessage(1)
	l.run()
	if len(i.got) != 0 {
		t.Fatalf("handled %v while suspended", i.got)
	}
}

func TestMailboxLosesNothingAmongManySenders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const senders, each = 8, 5000
		var m mailbox
		var w workers
		i := invoker{}
		m.RegisterHandlers(&i, &w)
		var wg sync.WaitGroup
		for n := range senders {
			wg.Go(func() {
				for k := range each {
					m.PostUserMessage([2]int{n, k})
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		w.close()
		var next [senders]int
		for _, message := range i.got {
			from := message.([2]int)
			if next[from[0]] != from[1] {
				t.Fatalf("message %d of sender %d came where %d was due", from[1], from[0], next[from[0]])
			}
			next[from[0]]++
		}
		if len(i.got) != senders*each {
			t.Fatalf("%d messages came, want %d", len(i.got), senders*each)
		}
	})
}

func TestQueueIsFirstInFirstOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		var model []any
		for n := range rapid.IntRange(0, 60).Draw(t, "steps") {
			if len(model) == 0 || rapid.IntRange(0, 2).Draw(t, "push") > 0 {
				q.push(n)
				model = append(model, n)
			} else {
				if got := q.pop(); got != model[0] {
					t.Fatalf("popped %v, want %v", got, model[0])
				}
				model = model[1:]
			}
			if q.len() != len(model) {
				t.Fatalf("%d queued, want %d", q.len(), len(model))
			}
		}
	})
}

func TestQueueStaysSmallWithAStandingBacklog(t *testing.T) {
	var q queue
	q.push(0)
	for n := range 10_000 {
		q.push(n)
		q.pop()
	}
	if cap(q.items) > 16 {
		t.Fatalf("a backlog of one takes room for %d", cap(q.items))
	}
}
