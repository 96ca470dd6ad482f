package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/messages"
)

// memory is the heap that one more waiting order costs this process, in bytes: everything that the engine, the client
// and the server hold because an order is in flight. The orders wait for the answer of their first step. It is the
// difference between a load and three times that load, so that buffers the server keeps anyway do not count.
func memory(ctx context.Context, cfg Config) (bytes uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	g, err := prepare(ctx, cfg, Relaxed)
	if err != nil {
		return 0, err
	}
	defer g.close()
	p := plan.Sim("sim:?latency=4m")
	for _, s := range p.Steps {
		s.Timeout = durationpb.New(5 * time.Minute)
	}
	// More room than orders: an inbox does not ask for its last few messages.
	e, err := startEngine(ctx, g, min(20_000, 2*cfg.Waiting), p)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, e.stop(ctx)) }()
	first := cfg.Waiting / 3
	few, err := g.wait(ctx, e, first, first)
	if err != nil {
		return 0, err
	}
	many, err := g.wait(ctx, e, cfg.Waiting-first, cfg.Waiting)
	if err != nil {
		return 0, err
	}
	return (max(many, few) - few) / uint64(cfg.Waiting-first), nil
}

// wait publishes n more orders and returns the heap when as many as there are in all wait.
func (g *ground) wait(ctx context.Context, e *running, n, all int) (uint64, error) {
	if err := g.publish(ctx, n); err != nil {
		return 0, err
	}
	for {
		stream, err := g.js.Stream(ctx, messages.StreamEvents)
		if err != nil {
			return 0, err
		}
		if stream.CachedInfo().State.Msgs >= uint64(all) && e.engine.InFlight() >= all {
			return heap(), nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return 0, fmt.Errorf("%d of %d orders wait: %w", e.engine.InFlight(), all, ctx.Err())
		}
	}
}

// heap is what is live after a collection, in bytes.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
