package enginetest_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderly-engine/orderly/node/engine"
	"github.com/orderly-engine/orderly/node/engine/enginetest"
)

// stock is a fake store. It has at most one reservation for an order, and none after its release.
type stock struct {
	reserved map[string]int32
	released map[string]bool
}

func newStock() *stock { return &stock{map[string]int32{}, map[string]bool{}} }

func (s *stock) reserve(_ context.Context, c *engine.Call) (any, error) {
	if s.released[c.Order.ID] {
		return nil, engine.Reject("released", "the order was undone before")
	}
	s.reserved[c.Order.ID] = c.Order.Items[0].Quantity
	return nil, nil
}

func (s *stock) release(_ context.Context, c *engine.Call) (any, error) {
	s.released[c.Order.ID] = true
	delete(s.reserved, c.Order.ID)
	return nil, nil
}

func confirm(context.Context, *engine.Call) (any, error) {
	return nil, engine.Pending("confirmed", time.Now().Add(48*time.Hour))
}

func (s *stock) plan() engine.Plan {
	return engine.Plan{Name: "gift", Version: 1, Steps: []engine.Step{
		{Name: "reserve", Do: engine.Function(s.reserve), Undo: engine.Function(s.release)},
		{Name: "confirm", Do: engine.Function(confirm)},
	}}
}

// A test that waits two days for a signal, in microseconds.
func Example() {
	test(func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newStock()
			env := enginetest.New(t, s.plan())
			env.Create(engine.Order{ID: "o-1", CustomerID: "c-7", Items: []engine.Item{{ProductID: "gift", Quantity: 2, UnitPrice: 9.5}}})
			env.Run()
			env.WantStatus("o-1", "parked")

			env.Advance(48 * time.Hour) // no signal: the step is called again
			env.WantCalls("o-1", "reserve/do", "confirm/do", "confirm/do")

			env.Signal("o-1", "confirmed", nil)
			env.Run()
			env.WantStatus("o-1", "completed")
			fmt.Println("reserved:", s.reserved)
		})
	})
	// Output: reserved: map[o-1:2]
}

// A test that crashes at every point. It would fail if reserve added to the quantity, and if release did not keep a call that
// arrives late from reserving again.
func ExampleCrashEverywhere() {
	test(func(t *testing.T) {
		enginetest.CrashEverywhere(t, func() enginetest.Case {
			s := newStock()
			p := s.plan()
			p.Step("confirm").Do = engine.Function(func(context.Context, *engine.Call) (any, error) {
				return nil, engine.Reject("declined", "nobody wants it")
			})
			return enginetest.Case{Plan: p, State: func() any { return s.reserved }}
		})
		fmt.Println("failed:", t.Failed())
	})
	// Output: failed: false
}

// A node that is killed loses the answer to the call in flight, and another one calls again with the same key.
func ExampleEnv_Kill() {
	test(func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var env *enginetest.Env
			charged := map[string]bool{}
			env = enginetest.New(t, engine.Plan{Name: "charge", Version: 1, Steps: []engine.Step{
				{Name: "charge", Do: engine.Function(func(_ context.Context, c *engine.Call) (any, error) {
					if charged[c.Key] {
						fmt.Println("charged before")
						return nil, nil
					}
					charged[c.Key] = true
					env.Kill()
					return nil, errors.New("nobody sees this")
				})},
			}})
			env.Create(engine.Order{ID: "o-1", CustomerID: "c-7", Items: []engine.Item{{ProductID: "gift", Quantity: 1, UnitPrice: 9.5}}})
			env.Run()
			fmt.Println(env.Order("o-1").Status)
		})
	})
	// Output:
	// charged before
	// completed
}

// test runs f as a test of its own, without output: an example has no *testing.T.
func test(f func(*testing.T)) {
	verbose := flag.Lookup("test.v").Value
	defer func(before string) { _ = verbose.Set(before) }(verbose.String())
	_ = verbose.Set("false")
	match := func(string, string) (bool, error) { return true, nil }
	if !testing.RunTests(match, []testing.InternalTest{{Name: "Test", F: f}}) {
		fmt.Println("the test failed")
	}
}
