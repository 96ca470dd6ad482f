package enginetest_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderly-engine/orderly/node/engine"
	"github.com/orderly-engine/orderly/node/engine/enginetest"
)

// shop is a fake of four services with one table of effects by order.
type shop struct {
	rows map[string]int
	// results by idempotency key.
	results map[string]string
	// undone holds the keys that must not act any more.
	undone map[string]bool
}

func newShop() *shop {
	return &shop{rows: map[string]int{}, results: map[string]string{}, undone: map[string]bool{}}
}

func (s *shop) state() any { return s.rows }

// do adds a row, once per key.
func (s *shop) do(_ context.Context, c *engine.Call) (any, error) {
	if s.undone[c.Key] {
		return nil, engine.Reject("undone", "the step was undone before")
	}
	if _, ok := s.results[c.Key]; !ok {
		s.rows[c.Order.ID+" "+c.Step]++
		s.results[c.Key] = "r-" + c.Step
	}
	return s.results[c.Key], nil
}

// undo removes it.
func (s *shop) undo(_ context.Context, c *engine.Call) (any, error) {
	s.undone[strings.TrimSuffix(c.Key, "undo")+"do"] = true
	delete(s.rows, c.Order.ID+" "+c.Step)
	return nil, nil
}

// plan has four steps; the last one cannot be undone.
func (s *shop) plan() engine.Plan {
	p := engine.Plan{Name: "shop", Version: 1}
	for _, name := range []string{"reserve", "authorize", "ship", "capture"} {
		p.Steps = append(p.Steps, engine.Step{Name: name, Do: engine.Function(s.do), Undo: engine.Function(s.undo)})
	}
	p.Steps[3].Undo = nil
	return p
}

// crashes returns the failures of CrashEverywhere.
func crashes(t *testing.T, setup func() enginetest.Case) []string {
	t.Helper()
	f := &failures{TB: t}
	synctest.Test(t, func(*testing.T) { f.of(func() { enginetest.CrashEverywhereInBubble(f, setup) }) })
	return f.all
}

func TestCrashEverywherePassesRightSteps(t *testing.T) {
	for name, change := range map[string]func(*shop, *enginetest.Case){
		"as it is": func(*shop, *enginetest.Case) {},
		"undo in doubt": func(_ *shop, c *enginetest.Case) {
			for i := range c.Plan.Steps[:3] {
				c.Plan.Steps[i].UndoInDoubt = true
			}
		},
		"rejected": func(_ *shop, c *enginetest.Case) {
			c.Plan.Steps[2].Do = engine.Function(func(context.Context, *engine.Call) (any, error) { return nil, engine.Reject("no", "no van") })
		},
		"retried in memory and parked": func(s *shop, c *enginetest.Case) {
			c.Plan.Steps[1].Retry = engine.Retry{Initial: 8 * time.Second, Max: time.Hour}
			c.Plan.Steps[1].Do = engine.Function(func(ctx context.Context, call *engine.Call) (any, error) {
				if call.Attempt < 4 {
					return nil, errors.New("busy")
				}
				return s.do(ctx, call)
			})
		},
		"signal": func(s *shop, c *enginetest.Case) {
			c.Plan.Steps[1].Do = engine.Function(func(ctx context.Context, call *engine.Call) (any, error) {
				_, err := s.do(ctx, call)
				return nil, errors.Join(engine.Pending("paid", time.Time{}), err)
			})
			c.Script = func(env *enginetest.Env) { env.Run(); env.Signal("o-1", "paid", map[string]int{"cents": 950}) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			enginetest.CrashEverywhere(t, func() enginetest.Case {
				s := newShop()
				c := enginetest.Case{Plan: s.plan(), State: s.state}
				change(s, &c)
				return c
			})
			t.Log(time.Since(began))
		})
	}
}

// Each of these steps breaks a rule, and the first failure names the point and the remedy.
func TestCrashEverywhereFindsWrongSteps(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*shop, *enginetest.Case)
		want   []string
	}{
		"key ignored": {func(s *shop, c *enginetest.Case) {
			c.Plan.Steps[0].Do = engine.Function(func(_ context.Context, call *engine.Call) (any, error) {
				s.rows["reservations"]++
				return nil, nil
			})
			c.Plan.Steps[0].Undo = nil
		}, []string{
			"node killed after the call of reserve/do #1 (point", "key o-1/reserve/do acted twice", `from {} to {"reservations":1}`, "calls:\n  o-1/reserve/do attempt 1: done\n",
		}},
		"refused on the second call": {func(s *shop, c *enginetest.Case) {
			c.Plan.Steps[0].Do = engine.Function(func(ctx context.Context, call *engine.Call) (any, error) {
				if s.rows["o-1 reserve"] > 0 {
					return nil, engine.Reject("out_of_stock", "none left")
				}
				return s.do(ctx, call)
			})
		}, []string{"node killed after the call of reserve/do #1", "the order ends as rejected: none left; without a crash it ends as completed"}},
		"undo by the result alone": {func(s *shop, c *enginetest.Case) {
			c.Plan.Steps[1].Do = engine.Function(func(ctx context.Context, call *engine.Call) (any, error) {
				if s.results[call.Key] != "" {
					return nil, nil // the first result is forgotten
				}
				return s.do(ctx, call)
			})
			c.Plan.Steps[1].Undo = engine.Function(func(ctx context.Context, call *engine.Call) (any, error) {
				var result string
				if _ = call.Result("authorize", &result); result == "" {
					return nil, nil
				}
				return s.undo(ctx, call)
			})
		}, []string{
			"node killed after the call of authorize/do #1", "order cancelled while no node ran", "authorize/undo did not undo what authorize/do did",
			`the state is {"o-1 authorize":1}, it was {} before`,
		}},
		"half undone": {func(s *shop, c *enginetest.Case) {
			c.Plan.Steps[2].Do = engine.Function(func(_ context.Context, call *engine.Call) (any, error) { return nil, engine.Reject("no", "no van") })
			c.Plan.Steps[1].Undo = engine.Function(func(ctx context.Context, call *engine.Call) (any, error) {
				s.rows["fees"]++
				return s.undo(ctx, call)
			})
		}, []string{"without a crash: ", `with everything undone: the state is {"fees":1}, it was {} before`}},
		"key forgotten by the undo": {func(s *shop, c *enginetest.Case) {
			c.Plan.Steps[2].Undo = engine.Function(func(ctx context.Context, call *engine.Call) (any, error) {
				_, err := s.undo(ctx, call)
				delete(s.undone, "o-1/ship/do")
				delete(s.results, "o-1/ship/do")
				return nil, err
			})
		}, []string{"node killed before the call of ship/do #1", "its last call arrives when the order has ended", "the late call of ship/do acted"}},
		"tombstone missing": {func(s *shop, c *enginetest.Case) {
			c.Plan.Steps[0].UndoInDoubt = true
			c.Plan.Steps[0].Undo = engine.Function(func(_ context.Context, call *engine.Call) (any, error) {
				delete(s.rows, "o-1 reserve")
				return nil, nil
			})
		}, []string{"node killed before the call of reserve/do #1", "the late call of reserve/do acted"}},
		"undo that fails": {func(s *shop, c *enginetest.Case) {
			c.Plan.Steps[0].Undo = engine.Function(func(context.Context, *engine.Call) (any, error) {
				return nil, engine.Permanent(errors.New("no such id"))
			})
		}, []string{"order cancelled while no node ran", "the order does not end: it is attention: ", "no such id"}},
		"state that shows nothing": {func(s *shop, c *enginetest.Case) {
			c.State = func() any { return struct{ rows map[string]int }{s.rows} }
		}, []string{"without a crash: Case.State is the same before and after every call"}},
		"no state": {func(_ *shop, c *enginetest.Case) { c.State = nil }, []string{"Case.State is missing"}},
		"no signal": {func(_ *shop, c *enginetest.Case) {
			c.Plan.Steps[3].Do = engine.Function(func(context.Context, *engine.Call) (any, error) { return nil, engine.Pending("paid", time.Time{}) })
		}, []string{`without a crash: the order is parked: signal "paid" for step capture: it has to end`}},
	} {
		t.Run(name, func(t *testing.T) {
			all := crashes(t, func() enginetest.Case {
				s := newShop()
				cs := enginetest.Case{Plan: s.plan(), State: func() any { return maps.Clone(s.rows) }}
				c.change(s, &cs)
				return cs
			})
			if len(all) == 0 {
				t.Fatal("no failure")
			}
			for _, want := range c.want {
				if !strings.Contains(all[0], want) {
					t.Errorf("%q is missing in\n%s", want, all[0])
				}
			}
			if testing.Verbose() {
				t.Logf("%d:\n%s", len(all), all[0])
			}
		})
	}
}
