package bench

import (
	"context"
	"errors"

	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/engine"
	"github.com/orderly-engine/orderly/node/server/telemetry"
)

// engineRun is an engine under measurement.
type engineRun struct {
	engine    *engine.Engine
	telemetry *telemetry.Telemetry
	cancel    context.CancelFunc
	ended     chan error
	services  *services // nil: the steps are in process
}

// startSteps starts an engine whose plan has the configured steps.
func startSteps(ctx context.Context, g *benchServer, cfg Config) (*engineRun, error) {
	if cfg.Steps == InProcess {
		return startEngine(ctx, g, cfg.InFlight, simPlan())
	}
	s := newServices()
	serve := s.serveHTTP
	if cfg.Steps == OverNATS {
		serve = func() error { return s.serveNATS(g) }
	}
	s.observe = cfg.observe
	if err := serve(); err != nil {
		s.stop()
		return nil, err
	}
	r, err := startEngine(ctx, g, cfg.InFlight, s.plan)
	if err != nil {
		s.stop()
		return nil, err
	}
	r.services = s
	return r, nil
}

func startEngine(ctx context.Context, g *benchServer, inFlight int, p *messages.Plan) (*engineRun, error) {
	return startConfigured(ctx, g, engine.PlanFromProto(p), engine.Config{MaxInFlight: inFlight, AckWait: ackWait})
}

// startConfigured starts an engine on the server.
func startConfigured(ctx context.Context, g *benchServer, p engine.Plan, cfg engine.Config) (*engineRun, error) {
	// The engine records metrics, as it does in a node.
	observed, err := telemetry.Setup(ctx, telemetry.Config{NodeID: benchNode})
	if err != nil {
		return nil, err
	}
	cfg.Node, cfg.GroupCommit, cfg.Meter, cfg.Tracer = benchNode, g.mode == Strict, observed.Meter(), observed.Tracer()
	e, err := engine.New(ctx, g.engine, p, cfg)
	if err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(context.Background())
	r := &engineRun{engine: e, telemetry: observed, cancel: cancel, ended: make(chan error, 1)}
	go func() { r.ended <- e.Run(running) }()
	return r, nil
}

func (r *engineRun) inFlight() int { return r.engine.InFlight() }

func (r *engineRun) stop(ctx context.Context) error {
	r.cancel()
	r.engine.Close()
	if r.services != nil {
		r.services.stop()
	}
	return errors.Join(<-r.ended, r.telemetry.Shutdown(ctx))
}

// check returns an error unless services, if there are any, were called as n orders need.
func (r *engineRun) check(n int) error {
	if r.services == nil {
		return nil
	}
	return r.services.check(n)
}

// simPlan has the four steps of the built-in plan, which return at once in process.
func simPlan() *messages.Plan { return plan.Sim("sim:") }
