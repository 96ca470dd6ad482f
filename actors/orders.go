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
	// traced: spans are recorded; without it none is begun.
	traced bool

	// kept counts the deliveries that wait for their orders in actors.
	kept atomic.Int64
	// background is what actors leave to goroutines: reads, look-ups, schedulings.
	background *background
}

// NewFactory returns a factory of order actors that act upon d.
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
	o := &Factory{Deps: d, cfg: cfg, instr: instr, traced: !noop, background: newBackground()}
	return o, nil
}

// Close ends what stopped actors have left behind. Call it when all of them have stopped.
func (o *Factory) Close() { o.background.close() }

// Produce returns a new order actor, for a supervisor to spawn.
func (o *Factory) Produce() actor.Actor { return &Order{Factory: o} }
