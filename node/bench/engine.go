package bench

import (
	"context"

	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/engine"
)

// running is an engine under measurement.
type running struct {
	engine *engine.Engine
	cancel context.CancelFunc
	abort  chan struct{}
	ended  chan error
}

func startEngine(ctx context.Context, g *ground, inFlight int, p *messages.Plan) (*running, error) {
	e, err := engine.New(ctx, g.engine, engine.Config{
		Node: benchNode, Plan: p, MaxInFlight: inFlight, GroupCommit: g.mode == Strict,
	})
	if err != nil {
		return nil, err
	}
	carrying, cancel := context.WithCancel(context.Background())
	r := &running{engine: e, cancel: cancel, abort: make(chan struct{}), ended: make(chan error, 1)}
	go func() { r.ended <- e.Run(carrying, r.abort) }()
	return r, nil
}

func (r *running) inFlight() int { return r.engine.InFlight() }

func (r *running) stop(context.Context) error {
	r.cancel()
	close(r.abort)
	return <-r.ended
}

// simPlan has the built-in plan's four steps, answered in process at once.
func simPlan() *messages.Plan { return plan.Sim("sim:") }
