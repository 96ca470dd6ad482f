package downstream

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/messages"
)

// maxTargets bounds the targets that are remembered, should plans come and go.
const maxTargets = 1024

// Steps performs step calls, as gateway.Set does.
type Steps interface {
	Do(*gateway.Call, gateway.Done)
}

// Guard performs step calls as long as their downstream can take them. It is safe for concurrent use.
type Guard struct {
	steps  Steps
	cfg    Config
	instr  *instrumentation
	limits map[string]*messages.Limits // of the node's own plan

	// gates by target; nil for one that is not guarded. Reads take no lock.
	gates  atomic.Pointer[map[string]*gate]
	mu     sync.Mutex // guards what follows, and writing gates
	named  map[string]*gate
	closed bool

	// work is the timers that are running.
	work sync.WaitGroup
}

// New returns a Guard before steps. The plan is the node's own: its limits hold for its downstreams, also for orders that
// were accepted under another plan. Those of other downstreams are the ones of the first call. Close it in the end, before
// the steps.
func New(steps Steps, p *messages.Plan, cfg Config) (*Guard, error) {
	g := &Guard{steps: steps, cfg: cfg.withDefaults(), limits: plan.LimitsOf(p), named: map[string]*gate{}}
	g.gates.Store(&map[string]*gate{})
	var err error
	if g.instr, err = newInstrumentation(g.cfg.Meter, g.all); err != nil {
		return nil, err
	}
	for _, s := range p.GetSteps() {
		g.gate(s.GetDo(), s)
		if s.GetUndo() != "" {
			g.gate(s.GetUndo(), s)
		}
	}
	return g, nil
}

// Do performs the call, now or when there is room, or fails with a Deferral. It does not block.
func (g *Guard) Do(c *gateway.Call, done gateway.Done) {
	target := c.Target()
	at, known := (*g.gates.Load())[target]
	if !known {
		at = g.gate(target, c.Step)
	}
	if at == nil {
		g.steps.Do(c, done)
		return
	}
	at.do(c, done)
}

// gate returns the gate before target, nil if it needs none: what is answered in process is never out, and is guarded
// only where limits are set.
func (g *Guard) gate(target string, step *messages.Step) *gate {
	name, remote := plan.Downstream(target)
	g.mu.Lock()
	defer g.mu.Unlock()
	known := *g.gates.Load()
	if at, ok := known[target]; ok {
		return at
	}
	at := g.named[name]
	if at == nil {
		limits := g.limits[name]
		if limits == nil {
			limits = step.GetLimits()
		}
		if remote || limits.GetConcurrency() > 0 || limits.GetRate() > 0 {
			at = newGate(g, name, limits)
			at.closed = g.closed
			g.named[name] = at
		}
	}
	next := map[string]*gate{}
	if len(known) < maxTargets {
		next = maps.Clone(known)
	}
	next[target] = at
	g.gates.Store(&next)
	return at
}

// all are the gates there are.
func (g *Guard) all() []*gate {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Collect(maps.Values(g.named))
}

// Close fails the calls that wait for a permit, and those that come later, and returns when no timer of the Guard runs
// any more. It must not be called from a done.
func (g *Guard) Close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	for _, at := range g.all() {
		at.close()
	}
	g.work.Wait()
	g.instr.close()
}
