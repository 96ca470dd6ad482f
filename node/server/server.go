// Package server runs a node: it starts NATS if the node embeds it, the engine, the HTTP API, the index of orders,
// telemetry, and on request the demo services, and stops them in reverse.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/engine"
	"github.com/orderly-engine/orderly/node/server/config"
	"github.com/orderly-engine/orderly/node/server/embedded"
	"github.com/orderly-engine/orderly/node/server/index"
	"github.com/orderly-engine/orderly/node/server/telemetry"
)

const (
	// startRetry is the pause between attempts to start on a NATS that is not ready.
	startRetry = time.Second
	// parting is how long the node may take after the end of the drain: one second is the engine's, one for the rest.
	shutdownGrace = 2 * time.Second
	// closeTimeout bounds the end of requests and the sending of the last spans.
	closeTimeout = 5 * time.Second
)

// Options are what a node needs besides its configuration.
type Options struct {
	// Version is the version of the program, for telemetry and the announcement.
	Version string
	// Demo also runs the demo services and publishes the sample orders.
	Demo bool
	// Stdout takes the announcements, Stderr the log.
	Stdout, Stderr io.Writer
}

// Run runs a node until ctx ends or the node must stop by itself. It drains for at most the configured drain time-out;
// closing abort ends the drain at once.
func Run(ctx context.Context, cfg config.Config, opts Options, abort <-chan struct{}) error {
	return (&node{Options: opts, cfg: cfg}).run(ctx, abort)
}

// node is a running node: NATS, engine, HTTP, telemetry, and demo services on request. Parts are started from the
// ground up and stopped in reverse; whatever of them was started is stopped also when a later one fails.
type node struct {
	Options
	cfg config.Config

	log       *slog.Logger
	telemetry *telemetry.Telemetry
	plan      *messages.Plan
	server    *embedded.Server
	dialer    *dialer
	nc        *nats.Conn
	js        jetstream.JetStream
	engine    *engine.Engine
	index     *index.Index
	backend   apiBackend
	httpURL   string
	// ends stop what was started, last first.
	ends []func()
	// last ends when the connections to NATS are cut and nothing is waited for any longer.
	last context.Context
}

// run runs the node until ctx ends or it must stop by itself; abort cuts the drain short. One deadline bounds all that
// comes after: the drain time-out and a moment.
func (n *node) run(ctx context.Context, abort <-chan struct{}) (err error) {
	stopping, stop := context.WithCancel(ctx)
	var release func()
	n.last, release = deadline(stopping, n.cfg.DrainTimeout, abort)
	defer release()
	n.dialer = newDialer()
	defer context.AfterFunc(n.last, n.dialer.cut)()
	defer func() {
		stop()
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
	err = n.carry(ctx, abort)
	if err == nil {
		fmt.Fprintln(n.Stdout, "stopped")
	}
	return err
}

// carry runs the engine; abort ends its drain.
func (n *node) carry(ctx context.Context, abort <-chan struct{}) error {
	ended := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-abort:
			n.engine.Close()
		case <-ended:
		}
	})
	defer watching.Wait()
	defer close(ended)
	return n.engine.Run(ctx)
}

// deadline returns a context that ends a moment after abort is closed, or the time-out after stopping has ended.
func deadline(stopping context.Context, timeout time.Duration, abort <-chan struct{}) (last context.Context, release func()) {
	last, end := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() {
		var drained <-chan time.Time
		for begun := stopping.Done(); ; {
			select {
			case <-begun:
				begun, drained = nil, time.After(timeout)
				continue
			case <-drained:
			case <-abort:
			case <-last.Done():
				return
			}
			break
		}
		select {
		case <-time.After(shutdownGrace):
			end()
		case <-last.Done():
		}
	})
	return last, func() { end(); watching.Wait() }
}

// atEnd has f called when the node stops.
func (n *node) atEnd(f func()) { n.ends = append(n.ends, f) }

// closing bounds the end of a part.
func (n *node) closing() (context.Context, context.CancelFunc) {
	return context.WithTimeout(n.last, closeTimeout)
}

// observe sets up logs, traces, metrics, and reads the plan.
func (n *node) observe(ctx context.Context) (err error) {
	if n.log, err = telemetry.NewLogger(n.Stderr, string(n.cfg.LogFormat), n.cfg.LogLevel); err != nil {
		return err
	}
	n.log = n.log.With("node", n.cfg.NodeID)
	if n.telemetry, err = telemetry.Setup(ctx, telemetry.Config{NodeID: n.cfg.NodeID, Version: n.Version, Logger: n.log}); err != nil {
		return err
	}
	n.atEnd(func() {
		ctx, cancel := n.closing()
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
	if n.cfg.Embedded() {
		if n.server, err = embedded.Start(embedded.Config{
			DataDir: n.cfg.DataDir, Addr: n.cfg.NATSAddr, Relaxed: n.cfg.Durability == config.Relaxed, Logger: n.log,
		}); err != nil {
			return err
		}
		n.atEnd(n.server.Shutdown)
	}
	n.nc, err = n.dial(ctx,
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
	if err != nil {
		return err
	}
	n.js, err = jetstream.New(n.nc)
	return err
}

// dial connects to the embedded server, if the node carries one, or else to the configured ones; the connection is closed
// when the node stops.
func (n *node) dial(ctx context.Context, more ...nats.Option) (*nats.Conn, error) {
	opts, err := config.NATSOptions(n.cfg)
	if err != nil {
		return nil, err
	}
	// The line looks names up by itself, so that a cut ends that too.
	opts = append(append(opts, nats.SetCustomDialer(n.dialer), nats.SkipHostLookup()), more...)
	var nc *nats.Conn
	if n.server != nil {
		nc, err = n.server.Connect(opts...)
	} else {
		nc, err = n.dialUntil(ctx, opts)
	}
	if err != nil {
		return nil, err
	}
	atOnce := context.AfterFunc(n.last, nc.Close)
	n.atEnd(nc.Close)
	n.atEnd(func() { atOnce() })
	return nc, nil
}

// dialUntil connects to the configured servers, however long they take to be there.
func (n *node) dialUntil(ctx context.Context, opts []nats.Option) (*nats.Conn, error) {
	defer context.AfterFunc(ctx, n.dialer.cut)() // a node that has not started has nothing to hand back
	for {
		nc, err := nats.Connect(n.cfg.NATSURL, opts...)
		if err == nil {
			return nc, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
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
		Node: n.cfg.NodeID, MaxInFlight: n.cfg.MaxInFlight, AckWait: n.cfg.AckWait, Hold: n.cfg.Hold,
		UnknownAge: n.cfg.UnknownAge, DrainTimeout: n.cfg.DrainTimeout, Retention: n.cfg.Retention, Replicas: n.cfg.Replicas,
		GroupCommit: n.cfg.Durability == config.Strict,
		Logger:      n.log, Meter: n.telemetry.Meter(), Tracer: n.telemetry.Tracer(),
	}
	for {
		n.engine, err = engine.New(ctx, n.nc, engine.PlanFromProto(n.plan), cfg)
		if err == nil || n.cfg.Embedded() || errors.Is(err, ingress.ErrConfigMismatch) || errors.Is(err, plan.ErrChanged) || errors.Is(err, plan.ErrInvalid) {
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
	return nil
}
