package server

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/health"
	"github.com/orderly-engine/orderly/messages/natsclient"
	"github.com/orderly-engine/orderly/node/engine"
	"github.com/orderly-engine/orderly/node/engine/client"
	"github.com/orderly-engine/orderly/node/server/api"
	"github.com/orderly-engine/orderly/node/server/index"
	"github.com/orderly-engine/orderly/node/timeline"
)

var (
	errStarting     = errors.New("the node is starting")
	errNotConnected = errors.New("NATS is not connected: the node reconnects by itself")
)

// apiBackend answers the HTTP API. Until the node has started it answers that the node is starting.
type apiBackend struct {
	started atomic.Pointer[startedNode]
	// store is nil without an embedded server.
	store atomic.Pointer[storeWatch]
}

// startedNode are the parts of a started node that the HTTP API uses.
type startedNode struct {
	nc *nats.Conn
	// refusal is why NATS refused the last attempts to reconnect, or nil.
	refusal *atomic.Pointer[error]
	engine  *engine.Engine
	health  *health.Monitor
	client  *client.Client
	// publishing is the check of messages that clients send over HTTP.
	publishing *health.Check
	// index is nil when this node has none.
	index *index.Index
}

// startAPI starts the HTTP server, before the connection to NATS, so that probes are answered while the node waits for
// NATS. A server that fails later stops the node.
func (n *node) startAPI(context.Context) error {
	b := &n.backend
	a, err := api.New(api.Deps{Health: b, Publisher: b, Orders: b, Lister: b, Metrics: n.telemetry.MetricsHandler()}, api.Config{
		Addr: n.cfg.HTTPAddr, Hosts: n.cfg.HTTPHostList(), Logger: n.log, Meter: n.telemetry.Meter(), Tracer: n.telemetry.Tracer(),
	})
	if err != nil {
		return err
	}
	if err := a.Start(func(err error) { n.fail(fmt.Errorf("the HTTP server failed: %w", err)) }); err != nil {
		return err
	}
	n.httpURL = "http://" + a.Addr()
	n.onStop(func() {
		ctx, cancel := n.closeContext()
		defer cancel()
		if err := a.Shutdown(ctx); err != nil {
			n.log.Warn("HTTP shutdown failed", "error", err)
		}
	})
	return nil
}

// openAPI lets requests through to the started node.
func (n *node) openAPI(context.Context) error {
	c, err := client.NewOn(n.js)
	if err != nil {
		return err
	}
	n.backend.started.Store(&startedNode{nc: n.nc, refusal: &n.refusal, engine: n.engine, health: &n.health, client: c, publishing: n.health.Check("publishing", 0), index: n.index})
	n.onStop(func() {
		n.backend.started.Store(nil)
		c.Close()
	})
	return nil
}

// Healthy returns nil while NATS is connected and no work of the node fails.
func (b *apiBackend) Healthy() error {
	switch n := b.started.Load(); {
	case n == nil:
		return errStarting
	case !n.nc.IsConnected():
		if refusal := n.refusal.Load(); refusal != nil {
			return fmt.Errorf("NATS is not connected: %w", *refusal)
		}
		return errNotConnected
	default:
		return n.health.Err()
	}
}

// Live returns an error when a restart would help.
func (b *apiBackend) Live() error {
	if w := b.store.Load(); w != nil {
		return w.live()
	}
	return nil
}

// Room is the room for new orders.
func (b *apiBackend) Room() (bytes int64, known bool) {
	n := b.started.Load()
	if n == nil {
		return 0, false
	}
	m := n.engine.Room().Measured()
	if m == nil {
		return 0, false
	}
	return max(0, m.Orders()), true
}

// Ready returns nil while the node accepts orders.
func (b *apiBackend) Ready() error {
	if err := b.Healthy(); err != nil {
		return err
	}
	if n := b.started.Load(); n == nil || !n.engine.Ready() {
		return errors.New("the node accepts no orders: it is starting or stopping")
	}
	return nil
}

// Publish returns nil once the stream has stored the message.
func (b *apiBackend) Publish(ctx context.Context, o ingress.Outgoing) error {
	n := b.started.Load()
	if n == nil {
		return fmt.Errorf("%w: %w", api.ErrNotStored, errStarting)
	}
	if _, creates := o.Body.(*messages.OrderCreated); creates {
		if err := n.engine.Room().Err(); err != nil {
			return fmt.Errorf("%w: %w", api.ErrNotStored, err)
		}
	}
	err := n.client.PublishMessage(ctx, o)
	n.report(err)
	switch {
	case errors.Is(err, ingress.ErrDisconnected):
		return fmt.Errorf("%w: NATS is unavailable", api.ErrNotStored)
	case errors.Is(err, ingress.ErrNoStream), natsclient.ErrorCode(err) != 0:
		return fmt.Errorf("%w: %w", api.ErrNotStored, err)
	}
	return err
}

// report reports whether the inbox stores messages.
func (n *startedNode) report(err error) {
	switch {
	case err == nil:
		n.publishing.OK()
	case natsclient.TooLarge(err): // it says nothing about the inbox
	case errors.Is(err, ingress.ErrAckTimeout), errors.Is(err, ingress.ErrNoStream), natsclient.ErrorCode(err) != 0:
		n.publishing.Fail(err)
	}
}

// Order reads an order.
func (b *apiBackend) Order(ctx context.Context, id messages.OrderID) (*timeline.View, error) {
	n := b.started.Load()
	if n == nil {
		return nil, errStarting
	}
	return n.client.Order(ctx, string(id))
}

// Follow follows an order.
func (b *apiBackend) Follow(ctx context.Context, id messages.OrderID, after uint64, yield func([]timeline.Event) error) error {
	n := b.started.Load()
	if n == nil {
		return errStarting
	}
	return n.client.FollowFrom(ctx, string(id), after, yield)
}

// List asks this node's index, or those of other nodes if it has none or cannot use it.
func (b *apiBackend) List(ctx context.Context, q index.Query) (*index.Page, error) {
	n := b.started.Load()
	if n == nil {
		return nil, errStarting
	}
	if n.index != nil {
		if page, err := n.index.List(ctx, q); !errors.Is(err, index.ErrNoIndex) {
			return page, err
		}
	}
	return index.Ask(ctx, n.nc, q)
}
