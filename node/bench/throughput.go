package bench

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

// Throughput is that of the raw loop or the engine.
type Throughput struct {
	OrdersPerSecond float64 `json:"orders_per_second"`
	// CPUPerOrder is the processor time of the whole process, server and publisher included.
	CPUPerOrder time.Duration `json:"cpu_per_order_ns"`
}

// workload handles orders from the inbox to their acknowledgement.
type workload interface {
	// inFlight is the number of orders in memory.
	inFlight() int
	stop(context.Context) error
}

// trailing is a workload with work left when the orders have ended.
type trailing interface {
	// catchUp returns when that work is done.
	catchUp(context.Context) error
}

// checked is a workload that knows whether it did all its work, and nothing twice.
type checked interface {
	// check is about n orders that have ended.
	check(n int) error
}

// measureThroughput measures a workload on a new server: from the first publish to the last acknowledgement.
func measureThroughput(ctx context.Context, cfg Config, mode Mode, start func(*benchServer) (workload, error)) (t Throughput, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	g, err := startServer(ctx, cfg.Dir, mode, ackWait)
	if err != nil {
		return t, err
	}
	defer g.close()
	c, err := start(g)
	if err != nil {
		return t, err
	}
	runtime.GC()
	began, used := time.Now(), cpuTime()
	if err = g.publish(ctx, cfg.Orders); err == nil {
		err = g.untilEmpty(ctx, cfg.Orders)
	}
	took := time.Since(began)
	if f, ok := c.(trailing); ok && err == nil {
		err = f.catchUp(ctx)
	}
	cpu := cpuTime() - used
	if f, ok := c.(checked); ok && err == nil {
		err = f.check(cfg.Orders)
	}
	if stopErr := c.stop(ctx); err == nil {
		err = stopErr
	}
	if err != nil {
		return t, fmt.Errorf("%s: %w", mode, err)
	}
	return Throughput{
		OrdersPerSecond: float64(cfg.Orders) / took.Seconds(),
		CPUPerOrder:     cpu / time.Duration(cfg.Orders),
	}, nil
}
