package supervision

import (
	"fmt"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// root is the one top-level actor. It handles everything below it; nothing may reach protoactor's guardian, which would
// stop the tree in silence.
type root struct {
	tree    *Tree
	ctx     actor.Context
	crashes []crashes
	ending  bool
}

// crashes of one order supervisor in a row.
type crashes struct {
	count int
	last  time.Time
	timer *time.Timer
}

func (r *root) Receive(ctx actor.Context) {
	defer r.contain()
	switch m := ctx.Message().(type) {
	case *actor.Started:
		r.started(ctx)
	case *actor.Terminated:
		if !r.ending {
			r.tree.health.broken(fmt.Errorf("order supervisor %s has stopped", m.Who.Id))
		}
	case *actor.Stopping:
		r.stopping()
	case *actor.Stopped:
		close(r.tree.stopped)
	}
}

func (r *root) started(ctx actor.Context) {
	r.ctx = ctx
	r.crashes = make([]crashes, len(r.tree.shards))
	for i, s := range r.tree.shards {
		props := actor.PropsFromProducer(func() actor.Actor { return newSupervisor(s) }, actor.WithDispatcher(&r.tree.workers))
		pid, err := ctx.SpawnNamed(props, strconv.Itoa(i))
		if err != nil {
			panic(err) // The name is unique.
		}
		s.pid = pid
	}
	close(r.tree.started)
}

func (r *root) stopping() {
	r.ending = true
	for i := range r.crashes {
		r.disarm(&r.crashes[i])
	}
}

func (r *root) disarm(c *crashes) {
	if c.timer != nil && c.timer.Stop() {
		r.tree.timers.Done()
	}
	c.timer = nil
}

// HandleFailure restarts an order supervisor that crashed, after a delay.
func (r *root) HandleFailure(_ *actor.ActorSystem, self actor.Supervisor, who *actor.PID, _ *actor.RestartStatistics, reason, _ any) {
	defer r.contain()
	for i, s := range r.tree.shards {
		if s.pid == who {
			r.restart(self, s, &r.crashes[i], reason)
		}
	}
}

func (r *root) restart(self actor.Supervisor, s *shard, c *crashes, reason any) {
	cfg, now := r.tree.cfg, time.Now()
	if now.Sub(c.last) > cfg.SubsystemBudget.Within {
		c.count = 0
	}
	c.count++
	c.last = now
	delay := cfg.Backoff.Delay(c.count, cfg.Rand())
	cfg.Logger.Error("order supervisor crashed and is restarted", keyShard, s.number, keyReason, fmt.Sprint(reason), keyDelay, delay)
	r.tree.health.crashed(reason)
	if r.ending {
		return
	}
	r.disarm(c)
	r.tree.timers.Add(1)
	c.timer = time.AfterFunc(delay, func() {
		defer r.tree.timers.Done()
		self.RestartChildren(s.pid)
	})
}

// contain turns a panic of root itself into an escalation.
func (r *root) contain() {
	if reason := recover(); reason != nil {
		r.tree.cfg.Logger.Error("root of the order supervisors panicked", keyReason, fmt.Sprint(reason), keyStack, string(debug.Stack()))
		r.tree.health.broken(fmt.Errorf("root of the order supervisors panicked: %v", reason))
	}
}
