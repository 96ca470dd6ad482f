package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/demo"
	"github.com/orderly-engine/orderly/node/server/embedded"
)

// ackWait is so long that nothing is redelivered, even on a slow machine: the raw loop cannot handle redeliveries.
const ackWait = time.Minute

// benchServer is a new server with empty streams, and connections for both sides of a load.
type benchServer struct {
	mode   Mode
	dir    string
	server *embedded.Server
	// engine is the connection of the workload, client that of the publisher.
	engine, client *nats.Conn
	js             jetstream.JetStream
}

func startServer(ctx context.Context, parent string, mode Mode, ackWait time.Duration) (g *benchServer, err error) {
	dir, err := os.MkdirTemp(parent, "orderly-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the store: %w", err)
	}
	g = &benchServer{mode: mode, dir: dir}
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	if g.server, err = embedded.Start(embedded.Config{DataDir: dir, Addr: "127.0.0.1:0", Relaxed: mode == Relaxed}); err != nil {
		return g, err
	}
	if g.engine, err = g.server.Connect(); err != nil {
		return g, err
	}
	if g.client, err = g.server.Connect(); err != nil {
		return g, err
	}
	if g.js, err = jetstream.New(g.client); err != nil {
		return g, err
	}
	return g, ingress.EnsureStreams(ctx, g.js, ingress.Streams{AckWait: ackWait})
}

func (g *benchServer) close() {
	for _, nc := range []*nats.Conn{g.engine, g.client} {
		if nc != nil {
			nc.Close()
		}
	}
	if g.server != nil {
		g.server.Shutdown()
	}
	_ = os.RemoveAll(g.dir)
}

// publish publishes n orders as fast as the stream stores them.
func (g *benchServer) publish(ctx context.Context, n int) error {
	return g.publishAll(ctx, demo.Samples(n, rand.Uint64()))
}

func (g *benchServer) publishAll(ctx context.Context, orders []*messages.OrderCreated) error {
	p, err := ingress.NewPublisher(g.client, ingress.PublisherConfig{Batch: g.mode == Strict})
	if err != nil {
		return err
	}
	defer p.Close()
	failed := make(chan error, 1)
	for _, o := range orders {
		err := p.Publish(ctx, ingress.Outgoing{OrderID: messages.OrderID(o.GetOrderId()), Body: o}, func(_ ingress.PubAck, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
		if err != nil {
			return err
		}
	}
	if err := p.Flush(ctx); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// untilEmpty waits until every order is published and acknowledged.
func (g *benchServer) untilEmpty(ctx context.Context, n int) error {
	stream, err := g.js.Stream(ctx, messages.StreamOrders)
	if err != nil {
		return err
	}
	for {
		info, err := stream.Info(ctx)
		if err != nil {
			return err
		}
		if info.State.LastSeq >= uint64(n) && info.State.Msgs == 0 {
			return nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%d orders remain", info.State.Msgs), ctx.Err())
		}
	}
}
