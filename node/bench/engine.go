package bench

import (
	"context"
	"errors"

	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/engine"
	"github.com/orderly-engine/orderly/node/server/telemetry"
)

// running is an engine under measurement.
type running struct {
	engine   *engine.Engine
	observed *telemetry.Telemetry
	cancel   context.CancelFunc
	ended    chan error
}

func startEngine(ctx context.Context, g *ground, inFlight int, p *messages.Plan) (*running, error) {
	return startConfigured(ctx, g, engine.PlanFromProto(p), engine.Config{MaxInFlight: inFlight, AckWait: ackWait})
}

// startConfigured starts an engine on the servers of the ground.
func startConfigured(ctx context.Context, g *ground, p engine.Plan, cfg engine.Config) (*running, error) {
	// A node measures itself, so the engine does here.
	observed, err := telemetry.Setup(ctx, telemetry.Config{NodeID: benchNode})
	if err != nil {
		return nil, err
	}
	cfg.Node, cfg.GroupCommit, cfg.Meter, cfg.Tracer = benchNode, g.mode == Strict, observed.Meter(), observed.Tracer()
	e, err := engine.New(ctx, g.engine, p, cfg)
	if err != nil {
		return nil, err
	}
	carrying, cancel := context.WithCancel(context.Background())
	r := &running{engine: e, observed: observed, cancel: cancel, ended: make(chan error, 1)}
	go func() { r.ended <- e.Run(carrying) }()
	return r, nil
}

func (r *running) inFlight() int { return r.engine.InFlight() }

func (r *running) stop(ctx context.Context) error {
	r.cancel()
	r.engine.Close()
	return errors.Join(<-r.ended, r.observed.Shutdown(ctx))
}

// simPlan has the built-in plan's four steps, answered in process at once.
func simPlan() *messages.Plan { return plan.Sim("sim:") }
