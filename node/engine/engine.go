package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/actors"
	"github.com/orderly-engine/orderly/actors/downstream"
	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/supervision"
)

const (
	// maxReply bounds the data a step may leave in the journal, in bytes.
	maxReply = 64 << 10
	// parting is how long, after the end of the drain, the server may take to hear what is handed back.
	parting = time.Second
)

// ErrEscalated is wrapped by Run's error when the engine failed beyond every budget and its node must stop.
var ErrEscalated = errors.New("escalated")

// Engine carries orders on one connection to NATS.
type Engine struct {
	cfg     Config
	system  *actor.ActorSystem
	journal *journal.Journal
	steps   *gateway.Set
	guard   *downstream.Guard
	timers  *ingress.Timers
	orders  *actors.Orders
	tree    *supervision.Tree
	inbox   *ingress.Inbox

	escalated chan error
	ready     atomic.Bool
	close     sync.Once
}

// New creates what does not exist yet of streams and consumers, registers the plan, and makes the engine's parts. Nothing
// is taken in before Run. The error wraps plan.ErrInvalid, plan.ErrChanged or ingress.ErrConfigMismatch when trying again is no use.
func New(ctx context.Context, nc *nats.Conn, cfg Config) (*Engine, error) {
	cfg = cfg.withDefaults()
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("start engine: %w", err)
	}
	if err := plan.Validate(cfg.Plan, cfg.Functions.Check); err != nil {
		return nil, fmt.Errorf("start engine: %w", err)
	}
	if err := ingress.EnsureStreams(ctx, js, ingress.Streams{Replicas: cfg.Replicas, AckWait: cfg.AckWait}); err != nil {
		return nil, fmt.Errorf("start engine: %w", err)
	}
	registered, err := ingress.RegisterPlan(ctx, js, cfg.Plan)
	if err != nil {
		return nil, fmt.Errorf("start engine: %w", err)
	}
	if err := plan.CheckUnchanged(registered, cfg.Plan); err != nil {
		return nil, fmt.Errorf("start engine: %w", err)
	}
	e := &Engine{cfg: cfg, escalated: make(chan error, 1)}
	if err := e.assemble(ctx, nc, js); err != nil {
		e.Close()
		return nil, fmt.Errorf("start engine: %w", err)
	}
	return e, nil
}

// assemble makes the parts, from the ground up.
func (e *Engine) assemble(ctx context.Context, nc *nats.Conn, js jetstream.JetStream) (err error) {
	c := e.cfg
	events, err := js.Stream(ctx, messages.StreamEvents)
	if err != nil {
		return err
	}
	alone := clusterOf(events) == ""
	e.journal, err = journal.New(nc, journal.Config{
		Node: c.Node, GroupCommit: c.GroupCommit, Alone: alone, Logger: c.Logger, Meter: c.Meter,
	})
	if err != nil {
		return err
	}
	e.steps = gateway.New(nc, gateway.Config{
		Tracer: c.Tracer, Meter: c.Meter, MaxReply: maxReply, Functions: c.Functions, Logger: c.Logger,
		HTTPConcurrency: concurrency(c.Plan), FunctionConcurrency: concurrency(c.Plan),
	})
	if e.guard, err = downstream.New(e.steps, c.Plan, downstream.Config{Hold: c.Hold, Logger: c.Logger, Meter: c.Meter}); err != nil {
		return err
	}
	if e.timers, err = ingress.NewTimers(nc); err != nil {
		return err
	}
	e.orders, err = actors.NewOrders(actors.World{
		Journal: e.journal, Steps: e.guard, Inbox: ingress.NewLookup(js), Timers: e.timers,
		Policy: supervision.NewPolicy(c.Hold, rand.Float64),
	}, actors.Config{
		Node: c.Node, Plan: c.Plan, UnknownAge: c.UnknownAge, AckWait: c.AckWait, Logger: c.Logger, Meter: c.Meter, Tracer: c.Tracer,
	})
	if err != nil {
		return err
	}
	e.system = supervision.NewSystem(c.Logger)
	e.tree, err = supervision.New(e.system, e.orders.Produce, supervision.Config{
		Logger: c.Logger, Meter: c.Meter, OnEscalation: e.escalate,
	})
	if err != nil {
		return err
	}
	e.inbox, err = ingress.New(js, ingress.Config{
		MaxInFlight: c.MaxInFlight, AckWait: c.AckWait, GroupAck: c.GroupCommit && alone, Logger: c.Logger, Meter: c.Meter,
	}, e.tree.Deliver)
	return err
}

// concurrency is how many HTTP calls to one host, or calls of one function, the gateway must be able to make at once, or 0
// for its default: what a step allows itself beyond that must not wait there, where its time-out runs.
func concurrency(p *messages.Plan) (most int) {
	for _, s := range p.GetSteps() {
		if n := int(s.GetLimits().GetConcurrency()); n > gateway.DefaultHTTPConcurrency {
			most = max(most, n)
		}
	}
	return most
}

// clusterOf is the name of the cluster that keeps the stream, or empty if a server keeps it by itself.
func clusterOf(s jetstream.Stream) string {
	if c := s.CachedInfo().Cluster; c != nil {
		return c.Name
	}
	return ""
}

func (e *Engine) escalate(err error) {
	select {
	case e.escalated <- err:
	default:
	}
}

// Ready reports whether the engine takes orders in.
func (e *Engine) Ready() bool { return e.ready.Load() }

// InFlight is the number of deliveries that are not settled.
func (e *Engine) InFlight() int { return e.tree.Pending() }

// Run carries orders until ctx ends, then drains. It can be called once. It returns an error that wraps ErrEscalated
// when the engine had to stop by itself, and no error after a stop, also when a stop left orders to be taken over.
// Abort ends the drain at once. Whether the server is there, away or silent, Run returns a second after either at the latest,
// unless the connection itself blocks: close it then.
func (e *Engine) Run(ctx context.Context, abort <-chan struct{}) error {
	taking, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ended := make(chan error, 1)
	go func() { ended <- e.inbox.Run(taking) }()
	e.ready.Store(true)

	var failed error
	select {
	case err := <-ended:
		ended <- nil
		if ctx.Err() == nil && err != nil {
			failed = fmt.Errorf("%w: %w", ErrEscalated, err)
		}
	case err := <-e.escalated:
		failed = fmt.Errorf("%w: %w", ErrEscalated, err)
		e.cfg.Logger.Error("engine failed beyond its budget, stopping", "error", err)
	case <-ctx.Done():
	}
	e.ready.Store(false)
	carry, part, release := deadlines(e.cfg.DrainTimeout, abort)
	defer release()
	stop(failed)
	if err := <-ended; err != nil && failed == nil {
		e.cfg.Logger.Warn("inbox stopped", "error", err)
	}
	if err := e.tree.Drain(carry); err != nil {
		e.cfg.Logger.Warn("stopped before every order was carried on; the rest is delivered again", "orders", e.tree.Pending())
	}
	e.close.Do(func() { e.dismantle(part) })
	return failed
}

// deadlines begin to run now: carry ends after the time-out, or when abort is closed, and part a moment later.
func deadlines(timeout time.Duration, abort <-chan struct{}) (carry, part context.Context, release func()) {
	carry, stop := context.WithTimeout(context.Background(), timeout)
	part, end := context.WithCancel(context.Background())
	over := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-abort:
			stop()
		case <-carry.Done():
		}
		select {
		case <-time.After(parting):
			end()
		case <-over:
		}
	})
	return carry, part, func() { stop(); close(over); watching.Wait(); end() }
}

// Close ends an engine that was not run; after Run it does nothing.
func (e *Engine) Close() {
	e.close.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), parting)
		defer cancel()
		e.dismantle(ctx)
	})
}

// dismantle stops the parts against the flow; the server has until ctx ends to answer.
func (e *Engine) dismantle(ctx context.Context) {
	if e.tree != nil {
		e.tree.Stop()
	}
	if e.orders != nil {
		e.orders.Close()
	}
	if e.inbox != nil {
		if err := e.inbox.Drain(ctx); err != nil {
			e.cfg.Logger.Warn("last acknowledgements", "error", err)
		}
	}
	if e.guard != nil {
		e.guard.Close()
	}
	if e.steps != nil {
		e.steps.Close()
	}
	if e.timers != nil {
		e.timers.Close()
	}
	if e.journal != nil {
		e.journal.Close()
	}
	if e.system != nil {
		e.system.Shutdown()
	}
}
