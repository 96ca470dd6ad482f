// Package server runs a node: the embedded NATS server, if the node has one, the engine, the HTTP API, the index of orders,
// telemetry and, on request, the demo services. Parts start from the ground up and stop in reverse.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/time/rate"

	"github.com/orderly-engine/orderly/actors/directory"
	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/health"
	"github.com/orderly-engine/orderly/node/engine"
	"github.com/orderly-engine/orderly/node/server/config"
	"github.com/orderly-engine/orderly/node/server/embedded"
	"github.com/orderly-engine/orderly/node/server/index"
	"github.com/orderly-engine/orderly/node/server/telemetry"
)

const (
	// startRetry is the pause between attempts to start on a NATS that is not ready.
	startRetry = time.Second
	// shutdownGrace is the time for shutdown after the drain: one second of it is the engine's.
	shutdownGrace = 2 * time.Second
	// closeTimeout bounds the end of HTTP requests and the export of the last spans.
	closeTimeout = 5 * time.Second
)

// Options are the inputs of a node in addition to its configuration.
type Options struct {
	// Version of the program, for telemetry and the announcement.
	Version string
	// Demo also runs the demo services and publishes sample orders.
	Demo bool
	// Stdout takes the announcements, Stderr the log.
	Stdout, Stderr io.Writer
}

// Run runs a node until ctx ends, and returns nil then, or until a part fails, and returns its error. Either way the node
// drains for at most the configured drain timeout; closing abort ends the drain at once.
func Run(ctx context.Context, cfg config.Config, opts Options, abort <-chan struct{}) error {
	return (&node{Options: opts, cfg: cfg, refusals: rate.Sometimes{Interval: refusalInterval}}).run(ctx, abort)
}

// node is a running node.
type node struct {
	Options
	cfg config.Config

	log       *slog.Logger
	telemetry *telemetry.Telemetry
	plan      *messages.Plan
	// downstreams is nil without a file.
	downstreams *directory.Directory
	server      *embedded.Server // nil unless the node embeds NATS
	dialer      *dialer
	// connected: the first connect succeeded. Before, a refusal ends the node; afterwards it is logged.
	connected atomic.Bool
	refusals  rate.Sometimes
	// refusal is the last one since the connection was lost.
	refusal atomic.Pointer[error]
	nc      *nats.Conn
	js      jetstream.JetStream
	engine  *engine.Engine
	index   *index.Index
	backend apiBackend
	// health has a check of each kind of work; parts of the node may add theirs.
	health  health.Monitor
	httpURL string
	// fail stops the node with an error.
	fail context.CancelCauseFunc
	// stops are the functions that stop the started parts, called in reverse.
	stops []func()
	// deadline ends when the connections to NATS are cut and nothing is waited for any longer.
	deadline context.Context
}

// run starts the parts, runs the engine, and stops the parts that were started, also when a later one does not start. One
// deadline bounds the shutdown: the drain timeout and shutdownGrace.
func (n *node) run(ctx context.Context, abort <-chan struct{}) error {
	ctx, n.fail = context.WithCancelCause(ctx)
	var release func()
	n.deadline, release = shutdownDeadline(ctx, n.cfg.DrainTimeout, abort)
	defer release()
	n.dialer = newDialer()
	defer context.AfterFunc(n.deadline, n.dialer.cut)()
	defer func() {
		n.fail(nil)
		for i := len(n.stops) - 1; i >= 0; i-- {
			n.stops[i]()
		}
	}()
	for _, start := range []func(context.Context) error{
		n.startTelemetry, n.startAPI, n.connect, n.newEngine, n.startIndex, n.openAPI, n.startDemo,
	} {
		if err := start(ctx); err != nil {
			if ctx.Err() != nil {
				return failure(ctx)
			}
			return err
		}
	}
	n.announce()
	if err := errors.Join(n.runEngine(ctx, abort), failure(ctx)); err != nil {
		return err
	}
	fmt.Fprintln(n.Stdout, "stopped")
	return nil
}

// runEngine runs the engine; closing abort ends its drain.
func (n *node) runEngine(ctx context.Context, abort <-chan struct{}) error {
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

// failure returns the error with which a part stopped the node, or nil if the node was stopped by a signal.
func failure(ctx context.Context) error {
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// shutdownDeadline returns a context that ends shutdownGrace after abort is closed, or after the timeout that begins when
// stopping ends.
func shutdownDeadline(stopping context.Context, timeout time.Duration, abort <-chan struct{}) (deadline context.Context, release func()) {
	deadline, end := context.WithCancel(context.Background())
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
			case <-deadline.Done():
				return
			}
			break
		}
		select {
		case <-time.After(shutdownGrace):
			end()
		case <-deadline.Done():
		}
	})
	return deadline, func() { end(); watching.Wait() }
}

// onStop has f called when the node stops.
func (n *node) onStop(f func()) { n.stops = append(n.stops, f) }

// closeContext bounds the stop of a part.
func (n *node) closeContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(n.deadline, closeTimeout)
}

// startTelemetry sets up logs, traces and metrics, and reads the files of the node.
func (n *node) startTelemetry(ctx context.Context) (err error) {
	if n.log, err = telemetry.NewLogger(n.Stderr, string(n.cfg.LogFormat), n.cfg.LogLevel); err != nil {
		return err
	}
	n.log = n.log.With("node", n.cfg.NodeID)
	if n.telemetry, err = telemetry.Setup(ctx, telemetry.Config{NodeID: n.cfg.NodeID, Version: n.Version, Logger: n.log}); err != nil {
		return err
	}
	n.onStop(func() {
		ctx, cancel := n.closeContext()
		defer cancel()
		if err := n.telemetry.Shutdown(ctx); err != nil {
			n.log.Warn("telemetry shutdown failed", "error", err)
		}
	})
	return n.readFiles()
}

// connect starts the embedded server, if the node has one, and connects.
func (n *node) connect(ctx context.Context) (err error) {
	if n.cfg.Embedded() {
		if n.server, err = embedded.Start(embedded.Config{
			DataDir: n.cfg.DataDir, Addr: n.cfg.NATSAddr, Relaxed: n.cfg.Durability == config.Relaxed, Logger: n.log,
			MaxStore: int64(n.cfg.MaxStore) << 20,
		}); err != nil {
			return err
		}
		n.onStop(n.server.Shutdown)
		n.watchStore()
	}
	n.watchCredentials()
	n.nc, err = n.dial(ctx,
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // nil: this node closed the connection
				n.log.Warn("NATS disconnected", "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			n.log.Info("NATS reconnected", "server", nc.ConnectedServerName())
			n.refusal.Store(nil)
			n.warnOfOlderServer(nc)
		}),
		nats.ErrorHandler(func(_ *nats.Conn, s *nats.Subscription, err error) {
			if !n.refused(err) {
				n.log.Warn("NATS reports an error", "error", err)
			}
		}),
	)
	if err != nil {
		return err
	}
	n.connected.Store(true)
	n.js, err = config.JetStream(n.cfg, n.nc)
	return err
}

// warnOfOlderServer logs that the connected server is too old to have one of the streams, which newer servers of its cluster have.
func (n *node) warnOfOlderServer(nc *nats.Conn) {
	if version := nc.ConnectedServerVersion(); ingress.OlderServer(version) {
		n.log.Warn("connected to a NATS server that is too old for the streams, upgrade it", "server", nc.ConnectedServerName(), "version", version, "want", ingress.MinServerVersion)
	}
}

// dial connects to the embedded server, if the node has one, or else to the configured servers. The connection is closed
// when the node stops.
func (n *node) dial(ctx context.Context, more ...nats.Option) (*nats.Conn, error) {
	opts, err := config.NATSOptions(n.cfg)
	if err != nil {
		return nil, err
	}
	// The dialer resolves names itself, so that cut ends that too.
	opts = append(append(opts, nats.SetCustomDialer(config.Dialer(n.cfg, n.dialer, n.refusedTLS)), nats.SkipHostLookup()), more...)
	var nc *nats.Conn
	if n.server != nil {
		nc, err = n.server.Connect(opts...)
	} else {
		nc, err = n.dialUntil(ctx, opts)
	}
	if err != nil {
		return nil, err
	}
	release := context.AfterFunc(n.deadline, nc.Close)
	n.onStop(nc.Close)
	n.onStop(func() { release() })
	return nc, nil
}

// dialUntil connects to the configured servers, and tries again until ctx ends. It gives up when a server refuses the credentials,
// or would get them without TLS.
func (n *node) dialUntil(ctx context.Context, opts []nats.Option) (*nats.Conn, error) {
	defer context.AfterFunc(ctx, n.dialer.cut)() // a node that has not started holds no deliveries
	for {
		nc, err := nats.Connect(n.cfg.NATSURL, opts...)
		if err == nil {
			return nc, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if refused := config.Refusal(n.cfg, err); refused != nil {
			return nil, refused
		}
		n.log.Warn("cannot reach NATS, retrying", "url", config.RedactURLs(n.cfg.NATSURL), "error", err)
		if err := pause(ctx, startRetry); err != nil {
			return nil, err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// checkBefore tries the permissions. An old server is found before: its answers to them mean nothing.
func (n *node) checkBefore(ctx context.Context) error {
	if ingress.OlderServer(n.nc.ConnectedServerVersion()) {
		if err := ingress.CheckServerVersion(ctx, n.js); errors.Is(err, ingress.ErrServerVersion) {
			return err
		}
	}
	return n.permissions().Check(ctx, n.js)
}

// newEngine makes the engine. It tries again while JetStream is not ready; missing permissions, a server that is too old,
// existing streams with another configuration, and an invalid or changed plan stop the start.
func (n *node) newEngine(ctx context.Context) (err error) {
	cfg := engine.Config{
		Node: n.cfg.NodeID, MaxInFlight: n.cfg.MaxInFlight, AckWait: n.cfg.AckWait, Hold: n.cfg.Hold,
		UnknownAge: n.cfg.UnknownAge, DrainTimeout: n.cfg.DrainTimeout, Retention: n.cfg.Retention, DeadRetention: n.cfg.DeadRetention, Replicas: n.cfg.Replicas,
		GroupCommit: n.cfg.Durability == config.Strict, Downstreams: n.downstreams,
		Health: &n.health, JetStream: n.js, OwnStore: n.server != nil,
		Logger: n.log, Meter: n.telemetry.Meter(), Tracer: n.telemetry.Tracer(),
	}
	if n.server != nil {
		cfg.Store = n.storeState
	}
	for {
		if err = n.checkBefore(ctx); err == nil {
			n.engine, err = engine.New(ctx, n.nc, engine.PlanFromProto(n.plan), cfg)
		}
		if err == nil {
			n.onStop(n.engine.Close)
			n.warnOfOlderServer(n.nc)
			return nil
		}
		if n.cfg.Embedded() || errors.Is(err, ingress.ErrConfigMismatch) || errors.Is(err, ingress.ErrServerVersion) ||
			errors.Is(err, plan.ErrChanged) || errors.Is(err, plan.ErrInvalid) || errors.Is(err, engine.ErrPermissions) {
			return err
		}
		n.log.Warn("stream server is not ready, retrying", "error", err)
		if err := pause(ctx, startRetry); err != nil {
			return err
		}
	}
}
