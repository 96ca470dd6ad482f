package actors

import (
	"fmt"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// Factory makes order actors, and holds what they share.
type Factory struct {
	Deps
	cfg   Config
	instr *instrumentation
	// traced: spans are recorded; without it none is started.
	traced bool

	// stashedCount counts the stashed deliveries of all actors.
	stashedCount atomic.Int64
	// searches counts the searches of the inbox for messages about orders that do not exist.
	searches atomic.Int64
	// awaitedUntil is how long messages wait in the inbox for their orders that this node had redelivered, in nanoseconds since
	// 1970; 0: none did.
	awaitedUntil atomic.Int64
	pool         *pool
}

// NewFactory returns a factory of order actors with the dependencies d.
func NewFactory(d Deps, cfg Config) (*Factory, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("order actors: %w", err)
	}
	instr, err := newInstrumentation(cfg.Meter)
	if err != nil {
		return nil, fmt.Errorf("order actors: %w", err)
	}
	_, noop := cfg.Tracer.(tracenoop.Tracer)
	return &Factory{Deps: d, cfg: cfg, instr: instr, traced: !noop, pool: newPool()}, nil
}

// Close ends the background work of stopped actors. Call it when all of them have stopped.
func (f *Factory) Close() { f.pool.close() }

// Produce returns a new order actor, for a supervisor to spawn.
func (f *Factory) Produce() actor.Actor { return &Order{Factory: f} }
