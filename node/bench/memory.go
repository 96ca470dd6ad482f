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

// Memory is the live heap of one more waiting order, in bytes.
type Memory struct {
	// Engine is what the engine holds: the process's heap less Raw.
	Engine uint64 `json:"engine_bytes"`
	// Raw is what the server and nats.go hold for a delivery and a journal entry of the raw loop.
	Raw uint64 `json:"raw_bytes"`
}

// measureMemory measures orders that wait for the reply of their first step, and deliveries that the raw loop holds.
func measureMemory(ctx context.Context, cfg Config) (m Memory, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	p := plan.Sim("sim:?latency=4m")
	for _, s := range p.Steps {
		s.Timeout = durationpb.New(5 * time.Minute)
	}
	// More slots than orders: an inbox does not pull for its last few slots.
	room := min(20_000, 2*cfg.Waiting)
	if m.Raw, err = heapGrowth(ctx, cfg, func(g *benchServer) (workload, error) { return startRaw(ctx, g, room, true) }); err != nil {
		return m, err
	}
	all, err := heapGrowth(ctx, cfg, func(g *benchServer) (workload, error) { return startEngine(ctx, g, room, p) })
	m.Engine = max(all, m.Raw) - m.Raw
	return m, err
}

// heapGrowth is the heap of one more waiting order: the difference between a load and three times that load, which excludes
// fixed buffers.
func heapGrowth(ctx context.Context, cfg Config, start func(*benchServer) (workload, error)) (bytes uint64, err error) {
	g, err := startServer(ctx, cfg.Dir, Relaxed, ackWait)
	if err != nil {
		return 0, err
	}
	defer g.close()
	c, err := start(g)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.stop(ctx)) }()
	first := cfg.Waiting / 3
	few, err := g.wait(ctx, c, first, first)
	if err != nil {
		return 0, err
	}
	many, err := g.wait(ctx, c, cfg.Waiting-first, cfg.Waiting)
	if err != nil {
		return 0, err
	}
	return (max(many, few) - few) / uint64(cfg.Waiting-first), nil
}

// wait publishes n more orders and returns the heap when all of them wait.
func (g *benchServer) wait(ctx context.Context, c workload, n, all int) (uint64, error) {
	if err := g.publish(ctx, n); err != nil {
		return 0, err
	}
	for {
		stream, err := g.js.Stream(ctx, messages.StreamEvents)
		if err != nil {
			return 0, err
		}
		if stream.CachedInfo().State.Msgs >= uint64(all) && c.inFlight() >= all {
			return liveHeap(), nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return 0, fmt.Errorf("%d of %d orders wait: %w", c.inFlight(), all, ctx.Err())
		}
	}
}

// liveHeap is the live heap after a collection, in bytes.
func liveHeap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
