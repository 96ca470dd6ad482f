package server

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/engine"
	"github.com/orderly-engine/orderly/node/engine/client"
	"github.com/orderly-engine/orderly/node/server/api"
	"github.com/orderly-engine/orderly/node/server/index"
	"github.com/orderly-engine/orderly/node/timeline"
)

var errStarting = errors.New("the node is starting")

// front is what the HTTP server sees of the node: nothing until the node has started.
type apiBackend struct{ live atomic.Pointer[live] }

// live are the parts of a started node that requests need.
type live struct {
	nc        *nats.Conn
	engine    *engine.Engine
	orders    *client.Reader
	publisher *ingress.Publisher
	// index is nil when this node keeps none.
	index *index.Index
}

// serve starts the HTTP server. It is the first to start, so that probes are answered while the node waits for NATS.
func (n *node) serve(context.Context) error {
	a, err := api.New(api.Deps{Health: &n.backend, Publisher: &n.backend, Orders: &n.backend, Lister: &n.backend, Metrics: n.telemetry.MetricsHandler()}, api.Config{
		Addr: n.cfg.HTTPAddr, Logger: n.log, Meter: n.telemetry.Meter(), Tracer: n.telemetry.Tracer(),
	})
	if err != nil {
		return err
	}
	if err := a.Start(); err != nil {
		return err
	}
	n.httpURL = "http://" + a.Addr()
	n.atEnd(func() {
		ctx, cancel := n.closing()
		defer cancel()
		if err := a.Shutdown(ctx); err != nil {
			n.log.Warn("http", "error", err)
		}
	})
	return nil
}

// open lets requests through to the started node.
func (n *node) open(context.Context) error {
	orders, err := client.NewReader(n.nc)
	if err != nil {
		return err
	}
	publisher, err := ingress.NewPublisher(n.nc, ingress.PublisherConfig{})
	if err != nil {
		orders.Close()
		return err
	}
	n.backend.live.Store(&live{nc: n.nc, engine: n.engine, orders: orders, publisher: publisher, index: n.index})
	n.atEnd(func() {
		n.backend.live.Store(nil)
		publisher.Close()
		orders.Close()
	})
	return nil
}

// Connected reports whether NATS is connected.
func (f *apiBackend) Connected() bool {
	l := f.live.Load()
	return l != nil && l.nc.IsConnected()
}

// Ready is nil while orders are taken in.
func (f *apiBackend) Ready() error {
	switch l := f.live.Load(); {
	case l == nil:
		return errStarting
	case !l.nc.IsConnected():
		return errors.New("NATS is not connected")
	case !l.engine.Ready():
		return errors.New("the node takes no orders in: it is starting or stopping")
	}
	return nil
}

// Publish returns once the stream has stored the message.
func (f *apiBackend) Publish(ctx context.Context, o ingress.Outgoing) error {
	l := f.live.Load()
	if l == nil {
		return fmt.Errorf("%w: %w", api.ErrNotStored, errStarting)
	}
	return notStored(l.publish(ctx, o))
}

// notStored says so of a message of which that is certain.
func notStored(err error) error {
	switch {
	case errors.Is(err, ingress.ErrNotSent):
		return fmt.Errorf("%w: NATS is away", api.ErrNotStored)
	case errors.Is(err, ingress.ErrNoStream):
		return fmt.Errorf("%w: %w", api.ErrNotStored, err)
	}
	return err
}

func (l *live) publish(ctx context.Context, o ingress.Outgoing) error {
	stored := make(chan error, 1)
	if err := l.publisher.Publish(ctx, o, func(_ ingress.PubAck, err error) { stored <- err }); err != nil {
		return err
	}
	select {
	case err := <-stored:
		return err
	case <-ctx.Done():
		return fmt.Errorf("publish order %s: not acknowledged yet: %w", o.OrderID, ctx.Err())
	}
}

// Order tells an order's state and story.
func (f *apiBackend) Order(ctx context.Context, id messages.OrderID) (*timeline.View, error) {
	l := f.live.Load()
	if l == nil {
		return nil, errStarting
	}
	view, err := l.orders.Order(ctx, id)
	return view, unknown(err)
}

// Follow tells what happens to an order.
func (f *apiBackend) Follow(ctx context.Context, id messages.OrderID, after uint64, yield func([]timeline.Event) error) error {
	l := f.live.Load()
	if l == nil {
		return errStarting
	}
	return unknown(l.orders.Follow(ctx, id, after, yield))
}

// unknown puts an unknown order in the words of the API.
func unknown(err error) error {
	if errors.Is(err, client.ErrUnknownOrder) {
		return fmt.Errorf("%w: %w", api.ErrUnknownOrder, err)
	}
	return err
}
