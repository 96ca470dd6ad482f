package server

import (
	"context"
	"errors"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/orderly-engine/orderly/node/server/config"
	"github.com/orderly-engine/orderly/node/server/index"
)

// indexOrders keeps an index of orders while the node runs, on a connection of its own: on a shared one, pages of the
// journal would stand before the acknowledgements of appends.
func (n *node) indexOrders(ctx context.Context) error {
	if n.cfg.Index == config.IndexOff {
		return nil
	}
	nc, err := n.dial(ctx)
	if err != nil {
		return err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	if n.index, err = index.New(js, index.Config{
		Dir: n.cfg.DataDir, Node: n.cfg.NodeID, Retention: n.cfg.Retention, Rebuild: n.cfg.Index == config.IndexRebuild,
		Logger: n.log, Meter: n.telemetry.Meter(),
	}); err != nil {
		return err
	}
	n.atEnd(n.index.Close)
	keeping, stop := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { n.index.Run(keeping) })
	n.atEnd(func() { stop(); done.Wait() })
	return nil
}

// List asks this node's index, or those of others while it has none.
func (f *apiBackend) List(ctx context.Context, q index.Query) (*index.Page, error) {
	l := f.live.Load()
	if l == nil {
		return nil, errStarting
	}
	if l.index != nil {
		if page, err := l.index.List(ctx, q); !errors.Is(err, index.ErrAway) {
			return page, err
		}
	}
	return index.Ask(ctx, l.nc, q)
}
