package engine

import (
	"context"
	"errors"
	"fmt"
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
	"github.com/orderly-engine/orderly/messages/budget"
	"github.com/orderly-engine/orderly/node/permission"
	"github.com/orderly-engine/orderly/supervision"
)

const (
	// maxReply bounds the answer of a service, in bytes: twice what its data may have, for white space.
	maxReply = 2 * messages.MaxBody
	// memoryLimit bounds the messages and orders that a node holds in memory, in bytes.
	memoryLimit = 128 << 20
	// shutdownGrace is how long, after the end of the drain, the server may take to answer the last acknowledgements.
	shutdownGrace = time.Second
)

var (
	// ErrEscalated is wrapped by Run's error when failures exceeded every budget and the program must stop.
	ErrEscalated = errors.New("escalated")
	// ErrStopped is wrapped by Run's error when the engine was run or closed before.
	ErrStopped = errors.New("engine was run or closed before")
	// ErrPermissions is wrapped by the error about all NATS permissions that the connection's user lacks.
	ErrPermissions = permission.ErrMissing
)

// Engine runs orders on one connection to NATS.
type Engine struct {
	cfg       Config
	js        jetstream.JetStream
	plan      *messages.Plan
	functions gateway.Functions
	// permissions that the engine needs.
	permissions permission.Permissions

	system  *actor.ActorSystem
	journal *journal.Journal
	steps   *gateway.Set
	guard   *downstream.Guard
	orders  *actors.Factory
	tree    *supervision.Tree
	inbox   *ingress.Inbox
	// clock is the server's.
	clock *ingress.Clock
	// retention removes the events of ended orders while Run runs.
	retention   *ingress.Retention
	deadLetters *ingress.DeadLetterRetention

	// room refuses new orders that the store has no room for.
	room *ingress.Room

	escalated chan error
	ready     atomic.Bool

	// started: Run or Close was called. The first Close closes closing; ended is closed when the parts are stopped.
	started        atomic.Bool
	closeOnce      sync.Once
	closing, ended chan struct{}
}

// New creates the streams and consumers that do not exist yet, registers the plan, and makes the engine's parts. It takes
// no orders before Run. The connection stays the caller's and must be open until Run has returned. The error wraps
// ErrInvalidPlan, ErrPlanChanged, ErrPermissions, ingress.ErrServerVersion or ingress.ErrConfigMismatch when retrying cannot succeed.
func New(ctx context.Context, nc *nats.Conn, p Plan, cfg Config) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	e, err := newEngine(ctx, nc, p, cfg.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("start engine: %w", err)
	}
	return e, nil
}

func newEngine(ctx context.Context, nc *nats.Conn, p Plan, cfg Config) (*Engine, error) {
	e := &Engine{cfg: cfg, escalated: make(chan error, 1), closing: make(chan struct{}), ended: make(chan struct{})}
	js, err := cfg.jetStream(nc)
	if err != nil {
		return nil, err
	}
	e.js = js
	if e.plan, e.functions, err = p.Build(cfg.Functions); err != nil {
		return nil, err
	}
	if err := e.checkDownstreams(); err != nil {
		return nil, err
	}
	e.permissions = permission.Core(permission.Uses{Calls: permission.Calls(e.plan, cfg.Downstreams)})
	if err := e.permissions.Check(ctx, js); err != nil {
		return nil, err
	}
	if cfg.Store == nil {
		cfg.Store = ingress.AccountStore(js, max(1, cfg.Replicas))
		e.cfg.Store = cfg.Store
	}
	streams := ingress.Streams{Replicas: cfg.Replicas, AckWait: cfg.AckWait, OwnStore: cfg.OwnStore, Store: cfg.Store}
	if err := ingress.EnsureStreams(ctx, js, streams); err != nil {
		return nil, err
	}
	registered, err := ingress.RegisterPlan(ctx, js, e.plan, cfg.Logger)
	if err != nil {
		return nil, err
	}
	if err := plan.CheckUnchanged(registered, e.plan); err != nil {
		return nil, err
	}
	if err := e.assemble(ctx, nc, js); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

// assemble makes the parts, dependencies first.
func (e *Engine) assemble(ctx context.Context, nc *nats.Conn, js jetstream.JetStream) (err error) {
	c := e.cfg
	events, err := js.Stream(ctx, messages.StreamEvents)
	if err != nil {
		return err
	}
	if e.room, err = ingress.NewRoom(js, c.Store, c.Health.Check("room", 0), c.Logger, c.Meter); err != nil {
		return err
	}
	singleServer := events.CachedInfo().Cluster == nil || events.CachedInfo().Cluster.Name == ""
	e.journal, err = journal.New(js, journal.Config{
		Node: c.Node, GroupCommit: c.GroupCommit, SingleServer: singleServer, Health: c.Health.Check("journal", 0),
		Logger: c.Logger, Meter: c.Meter,
	})
	if err != nil {
		return err
	}
	if e.clock, err = ingress.NewClock(ctx, js, c.Logger, c.Meter); err != nil {
		return err
	}
	e.steps = gateway.New(nc, gateway.Config{
		ServerTime: e.clock.ServerTime,
		Tracer:     c.Tracer, Meter: c.Meter, MaxReply: maxReply, Functions: e.functions, Logger: c.Logger,
		Directory: c.Downstreams, HTTPConcurrency: concurrency(e.plan), FunctionConcurrency: concurrency(e.plan),
	})
	if e.guard, err = downstream.New(e.steps, e.plan, c.Downstreams, downstream.Config{Hold: c.Hold, ServerTime: e.clock.ServerTime, Logger: c.Logger, Meter: c.Meter}); err != nil {
		return err
	}
	if e.retention, err = ingress.NewRetention(js, c.Retention, c.Logger); err != nil {
		return err
	}
	if e.deadLetters, err = ingress.NewDeadLetterRetention(js, c.DeadRetention, c.Logger); err != nil {
		return err
	}
	memory := budget.New(memoryLimit)
	e.orders, err = actors.NewFactory(actors.Deps{
		Journal: e.journal, Steps: e.guard, Inbox: ingress.NewLookup(js), Timers: ingress.NewTimers(js, c.Health.Check("timers", 0)),
		Memory: memory, Room: e.room, Downstreams: c.Downstreams,
	}, actors.Config{
		Node: c.Node, Plan: e.plan, Now: e.clock.Now, Local: time.Now, Hold: c.Hold, UnknownAge: c.UnknownAge, AckWait: c.AckWait, Logger: c.Logger, Meter: c.Meter, Tracer: c.Tracer,
		Redelivering: func() bool { return e.inbox.Redelivering() },
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
		Clock:       e.clock,
		MaxInFlight: c.MaxInFlight, AckWait: c.AckWait, GroupAck: c.GroupCommit && singleServer, Memory: memory, Health: c.Health, Logger: c.Logger, Meter: c.Meter,
	}, e.tree.Deliver)
	return err
}

// concurrency is how many HTTP calls to one host, or calls of one function, the gateway must be able to make at once, or 0
// for its default. Calls within a step's limit must not queue in the gateway, where their time-out runs.
func concurrency(p *messages.Plan) (most int) {
	for _, s := range p.GetSteps() {
		if n := int(s.GetLimits().GetConcurrency()); n > gateway.DefaultHTTPConcurrency {
			most = max(most, n)
		}
	}
	return most
}

func (e *Engine) escalate(err error) {
	select {
	case e.escalated <- err:
	default:
	}
}

// Ready reports whether the engine accepts orders and nothing that it needs for that fails.
func (e *Engine) Ready() bool { return e.ready.Load() && e.cfg.Health.Err() == nil }

// Room is the room of the store for new orders.
func (e *Engine) Room() *ingress.Room { return e.room }

// InFlight is the number of deliveries that are not settled.
func (e *Engine) InFlight() int { return e.tree.Pending() }

// Run processes orders until ctx ends. Then it stops pulling, continues with the orders in memory for up to
// Config.DrainTimeout, leaves the others to be redelivered, and returns nil. Its error wraps ErrEscalated when the engine
// had to stop by itself, and ErrStopped at the second call.
//
// Run returns a second after the drain or after Close at the latest, also when the server does not answer, unless writes to
// the connection block: close it then.
func (e *Engine) Run(ctx context.Context) error {
	if !e.started.CompareAndSwap(false, true) {
		return ErrStopped
	}
	defer close(e.ended)
	taking, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ended := make(chan error, 1)
	go func() { ended <- e.inbox.Run(taking) }()
	var sweeping sync.WaitGroup
	sweeping.Go(func() { e.retention.Run(taking, e.clock) })
	sweeping.Go(func() { e.deadLetters.Run(taking, e.clock) })
	sweeping.Go(func() { e.permissions.Watch(taking, e.js, e.cfg.Health.Check("permissions", 0), e.cfg.Logger) })
	sweeping.Go(func() { e.room.Run(taking) })
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
	case <-e.closing:
	}
	e.ready.Store(false)
	drain, last, release := deadlines(e.cfg.DrainTimeout, e.closing)
	defer release()
	stop(failed)
	if err := <-ended; err != nil && failed == nil {
		e.cfg.Logger.Warn("inbox stopped", "error", err)
	}
	if err := e.tree.Drain(drain); err != nil {
		e.cfg.Logger.Warn("drain ended early, orders are left to other nodes", "orders", e.tree.Pending())
	}
	sweeping.Wait()
	e.stopParts(last)
	return failed
}

// deadlines begin to run now: drain ends after the time-out, or when closing is closed, and last shutdownGrace later.
func deadlines(timeout time.Duration, closing <-chan struct{}) (drain, last context.Context, release func()) {
	drain, stop := context.WithTimeout(context.Background(), timeout)
	last, end := context.WithCancel(context.Background())
	over := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-closing:
			stop()
		case <-drain.Done():
		}
		select {
		case <-time.After(shutdownGrace):
			end()
		case <-over:
		}
	})
	return drain, last, func() { stop(); close(over); watching.Wait(); end() }
}

// Close stops the engine without a drain: orders in memory are left to be redelivered. It ends Run, and waits for it.
// After Run it does nothing; an engine that is not run must be closed.
func (e *Engine) Close() {
	e.closeOnce.Do(func() { close(e.closing) })
	if e.started.CompareAndSwap(false, true) {
		ctx, cancel := context.WithTimeout(context.Background(), shutdownGrace)
		defer cancel()
		e.stopParts(ctx)
		close(e.ended)
	}
	<-e.ended
}

// stopParts stops the parts in the reverse order of the flow; the server has until ctx ends to reply.
func (e *Engine) stopParts(ctx context.Context) {
	if e.tree != nil {
		e.tree.Stop()
	}
	if e.orders != nil {
		e.orders.Close()
	}
	if e.inbox != nil {
		if err := e.inbox.Drain(ctx); err != nil {
			e.cfg.Logger.Warn("last acknowledgements are not confirmed", "error", err)
		}
	}
	if e.room != nil {
		e.room.Close()
	}
	if e.guard != nil {
		e.guard.Close()
	}
	if e.steps != nil {
		e.steps.Close()
	}
	if e.journal != nil {
		e.journal.Close()
	}
	if e.clock != nil {
		e.clock.Close()
	}
	if e.system != nil {
		e.system.Shutdown()
	}
}
