package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/node/server/index"
)

// lagInterval is how often the lag of an index is read.
const lagInterval = 10 * time.Millisecond

// Indexed is the throughput of an engine while it maintains an index of orders. Each figure is the median over the rounds.
type Indexed struct {
	Throughput
	// Ratio of the rate to that of the engine without an index: the median of the rounds' own ratios.
	Ratio float64 `json:"ratio"`
	// Behind is the largest lag of the index under load.
	Behind time.Duration `json:"behind_ns"`
}

// indexedEngine is an engine with an index.
type indexedEngine struct {
	*engineRun
	nc     *nats.Conn
	index  *index.Index
	cancel context.CancelFunc
	done   sync.WaitGroup
	maxLag atomic.Int64
}

func startIndexing(ctx context.Context, g *benchServer, cfg Config) (*indexedEngine, error) {
	r, err := startSteps(ctx, g, cfg)
	if err != nil {
		return nil, err
	}
	// Its own connection, as in a node: pages of the journal do not delay the engine's acknowledgements.
	nc, err := g.server.Connect()
	if err != nil {
		return nil, errors.Join(err, r.stop(ctx))
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, errors.Join(err, r.stop(ctx))
	}
	x, err := index.New(js, index.Config{Dir: filepath.Join(g.dir, "index"), Meter: r.telemetry.Meter()})
	if err != nil {
		nc.Close()
		return nil, errors.Join(err, r.stop(ctx))
	}
	running, cancel := context.WithCancel(context.Background())
	i := &indexedEngine{engineRun: r, nc: nc, index: x, cancel: cancel}
	i.done.Go(func() { x.Run(running) })
	i.done.Go(func() { i.recordLag(running) })
	return i, nil
}

// recordLag records the largest lag of the index.
func (i *indexedEngine) recordLag(ctx context.Context) {
	tick := time.NewTicker(lagInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if d, ok := i.index.Lag(); ok {
			i.maxLag.Store(max(i.maxLag.Load(), int64(d)))
		}
	}
}

// catchUp waits until the index has the whole journal.
func (i *indexedEngine) catchUp(ctx context.Context) error {
	began := time.Now()
	for {
		if d, ok := i.index.Lag(); ok && d < time.Since(began) {
			return nil
		}
		select {
		case <-time.After(lagInterval):
		case <-ctx.Done():
			return fmt.Errorf("the index does not reach the end of the journal: %w", ctx.Err())
		}
	}
}

func (i *indexedEngine) stop(ctx context.Context) error {
	i.cancel()
	i.done.Wait()
	i.index.Close()
	i.nc.Close()
	return i.engineRun.stop(ctx)
}

// measureIndexed measures one round.
func measureIndexed(ctx context.Context, cfg Config, mode Mode, without Throughput) (with Indexed, err error) {
	var i *indexedEngine
	with.Throughput, err = measureThroughput(ctx, cfg, mode, func(g *benchServer) (workload, error) {
		i, err = startIndexing(ctx, g, cfg)
		return i, err
	})
	if err != nil {
		return with, err
	}
	with.Ratio = with.OrdersPerSecond / without.OrdersPerSecond
	with.Behind = time.Duration(i.maxLag.Load())
	return with, nil
}

func medianIndexed(rounds []Indexed) *Indexed {
	rates, ratios, behind := make([]Throughput, len(rounds)), make([]float64, len(rounds)), make([]time.Duration, len(rounds))
	for i, r := range rounds {
		rates[i], ratios[i], behind[i] = r.Throughput, r.Ratio, r.Behind
	}
	return &Indexed{Throughput: medianThroughput(rates), Ratio: median(ratios), Behind: median(behind)}
}
