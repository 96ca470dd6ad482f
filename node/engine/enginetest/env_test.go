package enginetest_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/orderly-engine/orderly/node/engine"
	"github.com/orderly-engine/orderly/node/engine/enginetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func order(id string) engine.Order {
	return engine.Order{ID: id, CustomerID: "c-7", Items: []engine.Item{{ProductID: "gift", Quantity: 1, UnitPrice: 9.5}}}
}

// steps is a plan of functions, called a, b, c …
func steps(all ...engine.Function) engine.Plan {
	p := engine.Plan{Name: "test", Version: 1}
	for i, f := range all {
		p.Steps = append(p.Steps, engine.Step{Name: string(rune('a' + i)), Do: f})
	}
	return p
}

func nothing(context.Context, *engine.Call) (any, error) { return nil, nil }

// inBubble runs f with an Env.
func inBubble(t *testing.T, p engine.Plan, f func(*testing.T, *enginetest.Env)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		f(t, enginetest.New(t, p))
	})
}

func TestOrdersEnd(t *testing.T) {
	p := steps(nothing, func(_ context.Context, c *engine.Call) (any, error) {
		if c.Order.ID == "o-2" {
			return nil, engine.Reject("no", "no van")
		}
		return nil, nil
	})
	p.Steps[0].Undo = engine.Function(nothing)
	inBubble(t, p, func(_ *testing.T, env *enginetest.Env) {
		env.Create(order("o-1"))
		env.Create(order("o-2"))
		env.Run()
		env.WantStatus("o-1", "completed")
		env.WantCalls("o-1", "a/do", "b/do")
		env.WantStatus("o-2", "rejected")
		env.WantCalls("o-2", "a/do", "b/do", "a/undo")
	})
}

// Ten attempts, two minutes apart at the end, with the time of each.
func TestClockJumpsOverAttempts(t *testing.T) {
	p := steps(func(_ context.Context, c *engine.Call) (any, error) {
		if c.Attempt < 10 {
			return nil, errors.New("busy")
		}
		return nil, nil
	})
	p.Steps[0].Retry = engine.Retry{Initial: time.Second, Max: 2 * time.Minute}
	inBubble(t, p, func(t *testing.T, env *enginetest.Env) {
		began := time.Now()
		env.Create(order("o-1"))
		env.Run()
		env.WantStatus("o-1", "completed")
		calls := env.Calls("o-1")
		if n := len(calls); n != 10 || calls[0].At != began || !calls[9].At.After(began.Add(time.Second)) || calls[9].Answer != "done" || calls[8].Answer != "busy" {
			t.Errorf("got %v", calls)
		}
	})
}

func TestRunStopsAtSignals(t *testing.T) {
	inBubble(t, steps(func(context.Context, *engine.Call) (any, error) {
		return nil, engine.Pending("paid", time.Now().Add(7*24*time.Hour))
	}, func(_ context.Context, c *engine.Call) (any, error) {
		var cents int
		return cents, c.Result("a", &cents)
	}), func(t *testing.T, env *enginetest.Env) {
		env.Create(order("o-1"))
		env.Run()
		env.WantStatus("o-1", "parked")
		env.Advance(6 * 24 * time.Hour)
		env.WantCalls("o-1", "a/do")
		env.Advance(24*time.Hour + time.Minute)
		env.WantCalls("o-1", "a/do", "a/do")
		env.Signal("o-1", "paid", 950)
		env.Run()
		env.WantStatus("o-1", "completed")
		if calls := env.Calls("o-1"); calls[len(calls)-1].Answer != "done 950" {
			t.Errorf("got %v", calls)
		}
	})
}

func TestPersonDecides(t *testing.T) {
	broken := true
	p := steps(func(context.Context, *engine.Call) (any, error) {
		if broken {
			return nil, engine.Permanent(errors.New("no printer"))
		}
		return nil, nil
	})
	inBubble(t, p, func(t *testing.T, env *enginetest.Env) {
		for _, id := range []string{"o-1", "o-2", "o-3"} {
			env.Create(order(id))
		}
		env.Run()
		env.WantStatus("o-1", "attention")
		if reason := env.Order("o-1").Reason; !strings.Contains(reason, "no printer") {
			t.Errorf("the reason is %q", reason)
		}
		env.Skip("o-2")
		env.Run()
		env.WantStatus("o-2", "completed")
		broken = false
		env.Retry("o-1")
		env.Cancel("o-3", "no longer wanted")
		env.Run()
		env.WantStatus("o-1", "completed")
		env.WantStatus("o-3", "completed") // the cancel settles the last step, which cannot be undone
	})
}

func TestKillLosesTheAnswer(t *testing.T) {
	var env *enginetest.Env
	p := steps(func(_ context.Context, c *engine.Call) (any, error) {
		if len(env.Calls("o-1")) == 1 {
			env.Kill()
		}
		return nil, nil
	})
	inBubble(t, p, func(t *testing.T, e *enginetest.Env) {
		env = e
		env.Create(order("o-1"))
		env.Run()
		env.WantStatus("o-1", "completed")
		env.WantCalls("o-1", "a/do", "a/do")
		if calls := env.Calls("o-1"); calls[1].Attempt != 1 || calls[1].At.Sub(calls[0].At) != 5*time.Second {
			t.Errorf("got %v, want attempt 1 again after 5 s", calls)
		}
	})
}

func TestMessagesWithoutEffectAreDeadLetters(t *testing.T) {
	inBubble(t, steps(nothing), func(t *testing.T, env *enginetest.Env) {
		env.Cancel("nobody", "")
		env.Create(order("o-1"))
		env.Run()
		env.Create(order("o-1")) // a duplicate
		other := order("o-1")
		other.CustomerID = "c-8"
		env.Create(other)
		env.Run()
		dead := env.DeadLetters()
		if len(dead) != 2 || dead[0].OrderID != "nobody" || dead[0].Type != "order.cancel" || !strings.Contains(dead[1].Reason, "different content") {
			t.Errorf("got %+v", dead)
		}
		env.Create(engine.Order{ID: "o-2"})
		env.Run()
		env.WantStatus("o-2", "rejected")
	})
}

func TestStepTimesOut(t *testing.T) {
	p := steps(func(ctx context.Context, c *engine.Call) (any, error) {
		if c.Attempt == 1 {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return nil, nil
	})
	p.Steps[0].Timeout = time.Minute
	inBubble(t, p, func(t *testing.T, env *enginetest.Env) {
		env.Create(order("o-1"))
		env.Run()
		env.WantStatus("o-1", "completed")
		if calls := env.Calls("o-1"); len(calls) != 2 || calls[1].At.Sub(calls[0].At) < time.Minute {
			t.Errorf("got %v", calls)
		}
	})
}

// failures is a testing.TB that keeps its failures.
type failures struct {
	testing.TB
	all []string
}

func (f *failures) Errorf(format string, args ...any) {
	f.all = append(f.all, fmt.Sprintf(format, args...))
}
func (f *failures) Fatal(args ...any)                 { f.Fatalf("%s", args...) }
func (f *failures) Fatalf(format string, args ...any) { f.Errorf(format, args...); runtime.Goexit() }

// of returns the failures of run, which may stop its goroutine.
func (f *failures) of(run func()) string {
	f.all = nil
	done := make(chan struct{})
	go func() {
		defer close(done)
		run()
	}()
	<-done
	return strings.Join(f.all, "\n")
}

func TestFailuresSayWhatToDo(t *testing.T) {
	f := &failures{TB: t}
	if got := f.of(func() { enginetest.New(f, steps(nothing)) }); got != "enginetest.New must be called inside synctest.Test" {
		t.Errorf("outside a bubble: %s", got)
	}
	synctest.Test(t, func(t *testing.T) {
		f := &failures{TB: t}
		remote := steps(nothing)
		remote.Steps[0].Do = engine.URL("nats://payments.charge")
		var env *enginetest.Env
		for _, c := range []struct {
			do   func()
			want string
		}{
			{func() { enginetest.New(f, engine.Plan{Name: "x", Version: 1}) }, "plan is invalid"},
			{func() { enginetest.New(f, remote) }, `step a calls nats://payments.charge: put a function in its place, as in plan.Step("a").Do = engine.Function(f)`},
			{func() { env = enginetest.New(f, steps(nothing)) }, ""},
			{func() { env.Order("o-1") }, "order o-1 does not exist: Create it and Run"},
			{func() { env.Create(order("not an id")) }, "order id \"not an id\""},
			{func() { env.Signal("o-1", "paid", make(chan int)) }, "signal paid: data cannot be written as JSON"},
			{func() { env.Create(order("o-1")); env.Run(); env.WantStatus("o-1", "rejected") }, "order o-1 is completed, want rejected\ncalls:\n  o-1/a/do attempt 1: done\n"},
			{func() { env.WantCalls("o-1", "b/do") }, "order o-1: calls\n  a/do\nwant\n  b/do\n"},
		} {
			if got := f.of(c.do); !strings.Contains(got, c.want) || (got == "") != (c.want == "") {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
		}
	})
}
