package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/config"
	"github.com/orderly-engine/orderly/node/embedded"
	"github.com/orderly-engine/orderly/node/engine"
	"github.com/orderly-engine/orderly/node/index"
	"github.com/orderly-engine/orderly/node/telemetry"
)

// startRetry is the pause between attempts to start on a NATS that is not ready.
const startRetry = time.Second

// node is a running node: NATS, engine, HTTP, telemetry, and demo services on request. Parts are started from the
// ground up and stopped in reverse; whatever of them was started is stopped also when a later one fails.
type node struct {
	cfg  config.Config
	t    terminal
	demo bool

	log       *slog.Logger
	telemetry *telemetry.Telemetry
	plan      *messages.Plan
	server    *embedded.Server
	nc        *nats.Conn
	js        jetstream.JetStream
	engine    *engine.Engine
	index     *index.Index
	front     front
	httpURL   string
	// ends stop what was started, last first.
	ends []func()
}

// run runs the node until ctx ends or it must stop by itself; abort cuts the drain short.
func (n *node) run(ctx context.Context, abort <-chan struct{}) (err error) {
	defer func() {
		for i := len(n.ends) - 1; i >= 0; i-- {
			n.ends[i]()
		}
	}()
	for _, start := range []func(context.Context) error{n.observe, n.serve, n.connect, n.assemble, n.indexOrders, n.open, n.demonstrate} {
		if err := start(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
	n.announce()
	err = n.engine.Run(ctx, abort)
	if err == nil {
		fmt.Fprintln(n.t.out, "stopped")
	}
	return err
}

// atEnd has f called when the node stops.
func (n *node) atEnd(f func()) { n.ends = append(n.ends, f) }

// observe sets up logs, traces, metrics, and reads the plan.
func (n *node) observe(ctx context.Context) (err error) {
	if n.log, err = telemetry.NewLogger(n.t.err, string(n.cfg.LogFormat), n.cfg.LogLevel); err != nil {
		return err
	}
	n.log = n.log.With("node", n.cfg.NodeID)
	if n.telemetry, err = telemetry.Setup(ctx, telemetry.Config{NodeID: n.cfg.NodeID, Version: version, Logger: n.log}); err != nil {
		return err
	}
	n.atEnd(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := n.telemetry.Shutdown(ctx); err != nil {
			n.log.Warn("telemetry", "error", err)
		}
	})
	n.plan = plan.Builtin()
	if n.cfg.PlanFile != "" {
		if n.plan, err = plan.Load(n.cfg.PlanFile, gateway.Check); err != nil {
			return fmt.Errorf("ORDERLY_PLAN: %w", err)
		}
	}
	return nil
}

// connect starts the embedded server, if the node carries one, and connects.
func (n *node) connect(ctx context.Context) (err error) {
	opts, err := config.NATSOptions(n.cfg)
	if err != nil {
		return err
	}
	opts = append(opts,
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // otherwise it is this node that hangs up
				n.log.Warn("NATS disconnected", "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) { n.log.Info("NATS connected again", "server", nc.ConnectedServerName()) }),
		nats.ErrorHandler(func(_ *nats.Conn, s *nats.Subscription, err error) {
			n.log.Warn("NATS reports an error", "error", err)
		}),
	)
	if n.cfg.Embedded() {
		if n.server, err = embedded.Start(embedded.Config{
			DataDir: n.cfg.DataDir, Addr: n.cfg.NATSAddr, Relaxed: n.cfg.Durability == config.Relaxed, Logger: n.log,
		}); err != nil {
			return err
		}
		n.atEnd(n.server.Shutdown)
		n.nc, err = n.server.Connect(opts...)
	} else {
		n.nc, err = n.dialUntil(ctx, opts)
	}
	if err != nil {
		return err
	}
	n.atEnd(n.nc.Close)
	n.js, err = jetstream.New(n.nc)
	return err
}

// dialUntil connects to the configured servers, however long they take to be there.
func (n *node) dialUntil(ctx context.Context, opts []nats.Option) (*nats.Conn, error) {
	for {
		nc, err := nats.Connect(n.cfg.NATSURL, opts...)
		if err == nil {
			return nc, nil
		}
		n.log.Warn("NATS cannot be reached, trying again", "url", config.RedactURLs(n.cfg.NATSURL), "error", err)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(startRetry):
		}
	}
}

// assemble makes the engine. Streams of the wrong shape and a wrong plan stop the start; a JetStream that is not ready yet
// does not.
func (n *node) assemble(ctx context.Context) (err error) {
	cfg := engine.Config{
		Node: n.cfg.NodeID, Plan: n.plan, MaxInFlight: n.cfg.MaxInFlight, AckWait: n.cfg.AckWait, Hold: n.cfg.Hold,
		UnknownAge: n.cfg.UnknownAge, DrainTimeout: n.cfg.DrainTimeout, Replicas: n.cfg.Replicas,
		GroupCommit: n.cfg.Durability == config.Strict,
		Logger:      n.log, Meter: n.telemetry.Meter(), Tracer: n.telemetry.Tracer(),
	}
	for {
		n.engine, err = engine.New(ctx, n.nc, cfg)
		if err == nil || n.cfg.Embedded() || errors.Is(err, ingress.ErrShape) || errors.Is(err, plan.ErrChanged) || errors.Is(err, plan.ErrInvalid) {
			break
		}
		n.log.Warn("stream server is not ready, trying again", "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(startRetry):
		}
	}
	if err != nil {
		return err
	}
	n.atEnd(n.engine.Close)
	retention, err := ingress.NewRetention(n.js, n.cfg.Retention, n.log)
	if err != nil {
		return err
	}
	sweeping, stop := context.WithCancel(context.Background())
	swept := make(chan struct{})
	go func() {
		defer close(swept)
		retention.Run(sweeping)
	}()
	n.atEnd(func() { stop(); <-swept })
	return nil
}
