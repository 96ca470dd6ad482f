package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/orderly-engine/orderly/actors/plan"
)

// memory is the heap that one waiting order costs this process, in bytes: everything that the engine, the client and
// the server hold because an order is in flight. The orders wait for the answer of their first step.
func memory(ctx context.Context, cfg Config) (bytes uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	g, err := prepare(ctx, cfg, Relaxed)
	if err != nil {
		return 0, err
	}
	defer g.close()
	// More room than orders: an inbox does not ask for its last few messages.
	p := plan.Sim("sim:?latency=4m")
	for _, s := range p.Steps {
		s.Timeout = durationpb.New(5 * time.Minute)
	}
	e, err := startEngine(ctx, g, min(20_000, 2*cfg.Waiting), p)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, e.stop(ctx)) }()
	before := heap()
	if err := g.publish(ctx, cfg.Waiting); err != nil {
		return 0, err
	}
	for e.engine.InFlight() < cfg.Waiting {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return 0, fmt.Errorf("%d of %d orders wait: %w", e.engine.InFlight(), cfg.Waiting, ctx.Err())
		}
	}
	after := heap()
	return (max(after, before) - before) / uint64(cfg.Waiting), nil
}

// heap is what is live after a collection, in bytes.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
