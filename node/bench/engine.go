package bench

import (
	"context"
	"errors"

	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/engine"
	"github.com/orderly-engine/orderly/node/telemetry"
)

// running is an engine under measurement.
type running struct {
	engine   *engine.Engine
	observed *telemetry.Telemetry
	cancel   context.CancelFunc
	abort    chan struct{}
	ended    chan error
}

func startEngine(ctx context.Context, g *ground, inFlight int, p *messages.Plan) (*running, error) {
	// A node measures itself, so the engine does here.
	observed, err := telemetry.Setup(ctx, telemetry.Config{NodeID: benchNode})
	if err != nil {
		return nil, err
	}
	e, err := engine.New(ctx, g.engine, engine.Config{
		Node: benchNode, Plan: p, MaxInFlight: inFlight, AckWait: ackWait, GroupCommit: g.mode == Strict,
		Meter: observed.Meter(), Tracer: observed.Tracer(),
	})
	if err != nil {
		return nil, err
	}
	carrying, cancel := context.WithCancel(context.Background())
	r := &running{engine: e, observed: observed, cancel: cancel, abort: make(chan struct{}), ended: make(chan error, 1)}
	go func() { r.ended <- e.Run(carrying, r.abort) }()
	return r, nil
}

func (r *running) inFlight() int { return r.engine.InFlight() }

func (r *running) stop(ctx context.Context) error {
	r.cancel()
	close(r.abort)
	return errors.Join(<-r.ended, r.observed.Shutdown(ctx))
}

// simPlan has the built-in plan's four steps, answered in process at once.
func simPlan() *messages.Plan { return plan.Sim("sim:") }
