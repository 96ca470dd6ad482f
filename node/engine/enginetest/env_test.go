package enginetest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderly-engine/orderly/node/engine"
	"github.com/orderly-engine/orderly/node/engine/enginetest"
)

func nothing(context.Context, *engine.Call) (any, error) { return nil, nil }

var sample = engine.Order{ID: "o-1", CustomerID: "c-7", Items: []engine.Item{{ProductID: "gift", Quantity: 1, UnitPrice: 9.5}}}

func TestRunCompletes(t *testing.T) {
	began := time.Now()
	synctest.Test(t, func(t *testing.T) {
		p := engine.Plan{Name: "gift", Version: 1}
		for _, name := range []string{"a", "b", "c", "d"} {
			p.Steps = append(p.Steps, engine.Step{Name: name, Do: engine.Function(nothing)})
		}
		env := enginetest.New(t, p)
		env.Create(sample)
		env.Run()
		env.WantStatus("o-1", "completed")
		env.WantCalls("o-1", "a/do", "b/do", "c/do", "d/do")
	})
	t.Log(time.Since(began))
}
