package supervision

import (
	"context"
	"fmt"
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/scheduler"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// Tree is a running supervisor tree. Its methods may be called from any goroutine.
type Tree struct {
	cfg    Config
	levels levels
	outage *outageLimit
	// escalated calls Config.OnEscalation once.
	escalated sync.Once
	instr     *instrumentation

	system     *actor.ActorSystem
	timers     *scheduler.TimerScheduler
	dispatcher *dispatcher
	orderProps *actor.Props

	guardian *guardian
	shards   []*shard
	// running counts the shard supervisors that have not stopped.
	running sync.WaitGroup
	// seed of the hash that assigns orders to shards.
	seed maphash.Seed

	// pending counts the deliveries that are not settled; idle holds a token when it may have become 0.
	pending atomic.Int64
	idle    chan struct{}

	stop sync.Once
	// stopped is closed when Stop has done everything.
	stopped chan struct{}
}

// New starts a tree on the system, whose order actors are made by order. The error wraps ErrConfig, or comes from the
// meter. Stop ends the tree; the system stays the caller's.
func New(system *actor.ActorSystem, order actor.Producer, cfg Config) (*Tree, error) {
	return newTree(system, order, cfg)
}

// newTree is New with options for all actors, which override those of this package.
func newTree(system *actor.ActorSystem, order actor.Producer, cfg Config, options ...actor.PropsOption) (*Tree, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	t := &Tree{
		cfg:     cfg,
		outage:  newOutageLimit(cfg),
		system:  system,
		timers:  scheduler.NewTimerScheduler(system.Root),
		seed:    maphash.MakeSeed(),
		idle:    make(chan struct{}, 1),
		stopped: make(chan struct{}),
	}
	t.guardian = &guardian{t}
	t.levels = newLevels(cfg, t.outage)
	for i := range cfg.Shards {
		t.shards = append(t.shards, &shard{number: i, tree: t, children: make(map[messages.OrderID]*child)})
	}
	var err error
	if t.instr, err = newInstrumentation(cfg.Meter, t.actors, t.pending.Load); err != nil {
		return nil, fmt.Errorf("start supervisor tree: %w", err)
	}
	t.dispatcher = newDispatcher()
	options = append([]actor.PropsOption{actor.WithDispatcher(t.dispatcher)}, options...)
	t.orderProps = actor.PropsFromProducer(func() actor.Actor { return &guard{order: order(), log: cfg.Logger} }, options...)
	options = append(options, actor.WithGuardian(t.guardian))
	for _, s := range t.shards {
		t.running.Add(1)
		s.pid = system.Root.SpawnPrefix(actor.PropsFromProducer(func() actor.Actor { return s }, options...), "shard")
	}
	return t, nil
}

// Deliver hands d to the shard supervisor of its order. It never blocks. After Stop it settles d as Later(0) itself.
func (t *Tree) Deliver(d *delivery.Delivery) {
	t.pending.Add(1)
	s := t.shardOf(d.OrderID)
	accepted, wake := s.enqueue(d)
	switch {
	case !accepted:
		t.settle(d, delivery.Later(0))
	case wake:
		t.system.Root.Send(s.pid, deliveriesQueued{})
	}
}

// Pending is the number of deliveries that are not settled.
func (t *Tree) Pending() int { return int(t.pending.Load()) }

// Drain waits until no delivery is pending. It refuses no delivery: the caller stops delivering first. When ctx ends
// before, it returns the cause.
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

// Stop stops all actors, waits for them, and settles what is still pending as Later(0). It waits for an order actor that
// is handling a message. It may be called more than once.
func (t *Tree) Stop() {
	t.stop.Do(func() {
		defer close(t.stopped)
		for _, s := range t.shards {
			s.close()
			t.system.Root.Stop(s.pid)
		}
		t.running.Wait()
		t.dispatcher.close()
		for _, s := range t.shards {
			s.settleTaken()
			s.nextBatch()
			s.settleTaken()
		}
		_ = t.instr.observed.Unregister()
		t.guardian.Tree = nil // The system keeps a reference to the guardian for ever.
	})
	<-t.stopped
}

func (t *Tree) shardOf(id messages.OrderID) *shard {
	high, _ := bits.Mul64(maphash.String(t.seed, string(id)), uint64(len(t.shards)))
	return t.shards[high]
}

// settle settles d, which the caller has removed from the queue or the pending deliveries.
func (t *Tree) settle(d *delivery.Delivery, o delivery.Outcome) {
	defer func() {
		if t.pending.Add(-1) == 0 {
			t.signalIdle()
		}
	}()
	d.Settle(o)
}

func (t *Tree) signalIdle() {
	select {
	case t.idle <- struct{}{}:
	default:
	}
}

// escalate reports the failure to the node, once.
func (t *Tree) escalate(err error) {
	t.escalated.Do(func() {
		t.instr.escalations.Add(context.Background(), 1)
		t.cfg.Logger.Error("order subsystem exceeded its budget, escalating", keyError, err)
		t.cfg.OnEscalation(err)
	})
}

// actors is the number of order actors in memory.
func (t *Tree) actors() (n int64) {
	for _, s := range t.shards {
		n += s.actors.Load()
	}
	return n
}
