package server

import (
	"context"
	"sync"

	"github.com/orderly-engine/orderly/node/permission"
	"github.com/orderly-engine/orderly/node/server/config"
	"github.com/orderly-engine/orderly/node/server/index"
)

// startIndex keeps an index of orders while the node runs. It has a connection of its own: on a shared one, pages of the
// journal would delay the acknowledgements of appends.
func (n *node) startIndex(ctx context.Context) error {
	if n.cfg.Index == config.IndexOff {
		return nil
	}
	nc, err := n.dial(ctx)
	if err != nil {
		return err
	}
	js, err := config.JetStream(n.cfg, nc)
	if err != nil {
		return err
	}
	if n.index, err = index.New(js, index.Config{
		Dir: n.cfg.DataDir, Node: n.cfg.NodeID, Retention: n.cfg.Retention, Rebuild: n.cfg.Index == config.IndexRebuild,
		Logger: n.log, Meter: n.telemetry.Meter(),
	}); err != nil {
		return err
	}
	n.onStop(n.index.Close)
	running, stop := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { n.index.Run(running) })
	done.Go(func() { permission.Listing().Watch(running, js, n.health.Check("list of orders", 0), n.log) })
	n.onStop(func() { stop(); done.Wait() })
	return nil
}
