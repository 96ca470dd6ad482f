package supervision

import (
	"context"
	"fmt"
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// Tree is a running supervisor tree. Its methods may be called from any goroutine.
type Tree struct {
	sys    *actor.ActorSystem
	order  func() actor.Actor
	cfg    Config
	meters *instrumentation
	health *health

	workers workers
	shards  []*shard
	seed    maphash.Seed
	root    *actor.PID
	// started and stopped are closed by root.
	started, stopped chan struct{}
	// timers counts the timers of root that may still call back.
	timers sync.WaitGroup

	pending atomic.Int64
	// idle holds a token when pending may have become 0.
	idle chan struct{}

	stop sync.Once
	// settledAll is closed when Stop has done everything.
	settledAll chan struct{}
}

// New starts a tree on sys; order produces an order actor. The error wraps ErrConfig, or comes from the meter.
// The caller ends it with Stop; sys stays the caller's.
func New(sys *actor.ActorSystem, order func() actor.Actor, cfg Config) (*Tree, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	t := &Tree{
		sys:        sys,
		order:      order,
		cfg:        cfg.withDefaults(),
		seed:       maphash.MakeSeed(),
		started:    make(chan struct{}),
		stopped:    make(chan struct{}),
		idle:       make(chan struct{}, 1),
		settledAll: make(chan struct{}),
	}
	for i := range t.cfg.Shards {
		t.shards = append(t.shards, newShard(i, t))
	}
	var err error
	if t.meters, err = newInstrumentation(t.cfg.Meter, t.actors, t.pending.Load); err != nil {
		return nil, fmt.Errorf("start supervisor tree: %w", err)
	}
	t.health = newHealth(t.cfg, t.meters)
	t.root = sys.Root.SpawnPrefix(actor.PropsFromProducer(func() actor.Actor { return &root{tree: t} }), "orders")
	<-t.started
	return t, nil
}

// Deliver hands d to the supervisor of its order. It never blocks. After Stop it settles d as Later(0) itself.
func (t *Tree) Deliver(d *delivery.Delivery) {
	t.pending.Add(1)
	s := t.shardOf(d.OrderID)
	open, tell := s.put(d)
	if !open {
		s.settle(d, delivery.Later(0))
		return
	}
	if tell {
		t.sys.Root.Send(s.pid, &arrived{})
	}
}

// Pending is the number of deliveries that are not yet settled.
func (t *Tree) Pending() int { return int(t.pending.Load()) }

// Drain waits until no delivery is pending. It refuses no delivery: the caller stops delivering first. When ctx ends
// before, it returns ctx's error.
func (t *Tree) Drain(ctx context.Context) error {
	for t.pending.Load() > 0 {
		select {
		case <-t.idle:
		case <-ctx.Done():
			return fmt.Errorf("drain %d pending deliveries: %w", t.Pending(), context.Cause(ctx))
		}
	}
	t.signalIdle() // There may be other callers.
	return nil
}

// Stop stops all actors, waits for them, and settles what is still pending as Later(0). It waits for an order actor
// that is in the middle of a message. More than one call is one call.
func (t *Tree) Stop() {
	t.stop.Do(t.end)
	<-t.settledAll
}

func (t *Tree) end() {
	defer close(t.settledAll)
	for _, s := range t.shards {
		s.close()
	}
	t.sys.Root.Stop(t.root)
	<-t.stopped
	t.timers.Wait()
	t.workers.close()
	for _, s := range t.shards {
		s.abandon()
		s.swap()
		s.abandon()
		s.timers.Wait()
	}
	_ = t.meters.observed.Unregister()
}

func (t *Tree) shardOf(id messages.OrderID) *shard {
	high, _ := bits.Mul64(maphash.String(t.seed, string(id)), uint64(len(t.shards)))
	return t.shards[high]
}

// settled books the end of a delivery.
func (t *Tree) settled() {
	if t.pending.Add(-1) == 0 {
		t.signalIdle()
	}
}

func (t *Tree) signalIdle() {
	select {
	case t.idle <- struct{}{}:
	default:
	}
}

// actors is the number of order actors in memory.
func (t *Tree) actors() int64 {
	var n int64
	for _, s := range t.shards {
		n += s.actors.Load()
	}
	return n
}
