package actors

import (
	"context"
	"fmt"
	"sync"

	"github.com/asynkron/protoactor-go/actor"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// maxWork is how many reads, look-ups and schedulings of a node are under way at once: enough that none of them waits for
// round trips of the others.
const maxWork = 128

// Orders makes order actors. What they share is here.
type Orders struct {
	World
	cfg   Config
	instr *instrumentation
	// traced: spans are recorded; without it none is begun.
	traced bool

	// work is what actors left to goroutines: reads, look-ups, schedulings. Close cancels it and waits for it.
	work sync.WaitGroup
	// slots bounds the work under way. After a crash, or when many timers are due at once, thousands of orders are read;
	// all together they would keep the server so busy that signs of life come late, deliveries are repeated, and read
	// again.
	slots  chan struct{}
	closed context.Context
	close  context.CancelFunc
}

// NewOrders returns a maker of order actors that act upon w.
func NewOrders(w World, cfg Config) (*Orders, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("order actors: %w", err)
	}
	instr, err := newInstrumentation(cfg.Meter)
	if err != nil {
		return nil, fmt.Errorf("order actors: %w", err)
	}
	_, noop := cfg.Tracer.(tracenoop.Tracer)
	o := &Orders{World: w, cfg: cfg, instr: instr, traced: !noop, slots: make(chan struct{}, maxWork)}
	o.closed, o.close = context.WithCancel(context.Background())
	return o, nil
}

// Close waits for what stopped actors have left behind. Call it when all of them have stopped.
func (o *Orders) Close() {
	o.close()
	o.work.Wait()
}

// Produce returns a new order actor, for a supervisor to spawn.
func (o *Orders) Produce() actor.Actor { return &Order{Orders: o} }
