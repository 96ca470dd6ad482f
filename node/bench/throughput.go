package bench

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

// Throughput is what one side made of a load.
type Throughput struct {
	OrdersPerSecond float64 `json:"orders_per_second"`
	// CPUPerOrder is the processor time of the whole process, server and publisher included.
	CPUPerOrder time.Duration `json:"cpu_per_order_ns"`
}

// carrier carries orders from the inbox to their acknowledgement.
type carrier interface {
	// inFlight is the number of orders that wait.
	inFlight() int
	stop(context.Context) error
}

// follower is a carrier that has work left when the orders have ended.
type follower interface {
	// follow returns when that work is done.
	follow(context.Context) error
}

// carry measures one side on a fresh server: from the first publish to the last acknowledgement.
func carry(ctx context.Context, cfg Config, mode Mode, start func(*ground) (carrier, error)) (t Throughput, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	g, err := prepare(ctx, cfg.Dir, mode, ackWait)
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
		err = g.empty(ctx, cfg.Orders)
	}
	took := time.Since(began)
	if f, ok := c.(follower); ok && err == nil {
		err = f.follow(ctx)
	}
	cpu := cpuTime() - used
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
