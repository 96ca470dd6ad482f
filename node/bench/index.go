package bench

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderly-engine/orderly/node/server/index"
)

// lookEvery is how often it is looked how far an index is behind.
const lookEvery = 10 * time.Millisecond

// Indexed is what an engine made of a load while an index of orders was fed from its journal. Each figure is the median
// over the rounds.
type Indexed struct {
	Throughput
	// Ratio of the rate to that of the engine without an index: the median of the rounds' own ratios.
	Ratio float64 `json:"ratio"`
	// Behind is the furthest that the index was behind the journal under load.
	Behind time.Duration `json:"behind_ns"`
}

// indexing is an engine with an index.
type indexing struct {
	*running
	nc     *nats.Conn
	index  *index.Index
	cancel context.CancelFunc
	done   sync.WaitGroup
	behind atomic.Int64
}

func startIndexing(ctx context.Context, g *ground, inFlight int) (*indexing, error) {
	r, err := startEngine(ctx, g, inFlight, simPlan())
	if err != nil {
		return nil, err
	}
	// A connection of its own, as in a node: pages of the journal do not stand before the engine's acknowledgements.
	nc, err := g.server.Connect()
	if err != nil {
		return nil, errors.Join(err, r.stop(ctx))
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, errors.Join(err, r.stop(ctx))
	}
	x, err := index.New(js, index.Config{Dir: filepath.Join(g.dir, "index"), Meter: r.observed.Meter()})
	if err != nil {
		nc.Close()
		return nil, errors.Join(err, r.stop(ctx))
	}
	keeping, cancel := context.WithCancel(context.Background())
	i := &indexing{running: r, nc: nc, index: x, cancel: cancel}
	i.done.Go(func() { x.Run(keeping) })
	i.done.Go(func() { i.look(keeping) })
	return i, nil
}

// look remembers the furthest that the index was behind.
func (i *indexing) look(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if d, ok := i.index.Lag(); ok {
			i.behind.Store(max(i.behind.Load(), int64(d)))
		}
	}
}

// follow waits until all that is in the journal is in the index.
func (i *indexing) follow(ctx context.Context) error {
	began := time.Now()
	for {
		if d, ok := i.index.Lag(); ok && d < time.Since(began) {
			return nil
		}
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
			return fmt.Errorf("the index does not reach the end of the journal: %w", ctx.Err())
		}
	}
}

func (i *indexing) stop(ctx context.Context) error {
	i.cancel()
	i.done.Wait()
	i.index.Close()
	i.nc.Close()
	return i.running.stop(ctx)
}

// indexed measures one round.
func indexed(ctx context.Context, cfg Config, mode Mode, without Throughput) (with Indexed, err error) {
	var i *indexing
	with.Throughput, err = carry(ctx, cfg, mode, func(g *ground) (carrier, error) {
		i, err = startIndexing(ctx, g, cfg.InFlight)
		return i, err
	})
	if err != nil {
		return with, err
	}
	with.Ratio = with.OrdersPerSecond / without.OrdersPerSecond
	with.Behind = time.Duration(i.behind.Load())
	return with, nil
}

func middleIndexed(rounds []Indexed) *Indexed {
	rates, ratios, behind := make([]Throughput, len(rounds)), make([]float64, len(rounds)), make([]time.Duration, len(rounds))
	for i, r := range rounds {
		rates[i], ratios[i], behind[i] = r.Throughput, r.Ratio, r.Behind
	}
	return &Indexed{Throughput: middle(rates), Ratio: median(ratios), Behind: median(behind)}
}
