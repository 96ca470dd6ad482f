package downstream

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/orderly-engine/orderly/actors/directory"
	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/messages"
)

// maxTargets bounds the cache of targets. There is no bound otherwise: plans change, and a target may contain a query.
const maxTargets = 1024

// Steps makes step calls, as gateway.Set does.
type Steps interface {
	Do(*gateway.Call, gateway.Done)
}

// Guard makes step calls while their downstream is available and has a permit. It is safe for concurrent use.
type Guard struct {
	steps  Steps
	cfg    Config
	instr  *instrumentation
	dir    *directory.Directory
	limits map[string]*messages.Limits // of the node's own plan, by downstream

	// byTarget holds the limiter of each known target, nil for a target that needs none. Reads take no lock.
	byTarget atomic.Pointer[map[string]*serviceLimiter]
	mu       sync.Mutex // guards the fields below, and writes to byTarget
	byName   map[string]*serviceLimiter
	closed   bool

	timers sync.WaitGroup // timers that are set or running
}

// New returns a Guard for calls made by steps. dir names the downstream of each target, and its limits hold first. Otherwise
// the limits in p, the node's own plan, hold for every order, also for one accepted under another plan; a downstream that p
// does not call gets the limits of the first call to it. The error is that of an instrument. Call Close before steps is closed.
func New(steps Steps, p *messages.Plan, dir *directory.Directory, cfg Config) (*Guard, error) {
	limits := plan.LimitsOf(p, func(target string) string { return dir.Lookup(target).Name })
	g := &Guard{steps: steps, cfg: cfg.withDefaults(), dir: dir, limits: limits, byName: map[string]*serviceLimiter{}}
	g.byTarget.Store(&map[string]*serviceLimiter{})
	var err error
	if g.instr, err = newInstrumentation(g.cfg.Meter, g.limiters); err != nil {
		return nil, err
	}
	for _, s := range p.GetSteps() {
		g.limiter(s.GetDo(), s)
		if s.GetUndo() != "" {
			g.limiter(s.GetUndo(), s)
		}
	}
	return g, nil
}

// Do makes the call, now or once a permit is free, or fails it with a Deferral. It does not block.
func (g *Guard) Do(c *gateway.Call, done gateway.Done) {
	target := c.Target()
	l, known := (*g.byTarget.Load())[target]
	if !known {
		l = g.limiter(target, c.Step)
	}
	if l == nil {
		g.steps.Do(c, done)
		return
	}
	l.do(c, done)
}

// limiter returns the limiter of target; nil for one that is answered in process and has no limits.
func (g *Guard) limiter(target string, step *messages.Step) *serviceLimiter {
	entry := g.dir.Lookup(target)
	g.mu.Lock()
	defer g.mu.Unlock()
	known := *g.byTarget.Load()
	if l, ok := known[target]; ok {
		return l
	}
	l := g.byName[entry.Name]
	if l == nil {
		limits := cmp.Or(entry.Limits, g.limits[entry.Name], step.GetLimits())
		if entry.Remote || limits.GetConcurrency() > 0 || limits.GetRate() > 0 {
			l = newServiceLimiter(g, entry, limits)
			l.closed = g.closed
			g.byName[entry.Name] = l
			g.instr.startAtZero(l)
		}
	}
	next := map[string]*serviceLimiter{}
	if len(known) < maxTargets {
		next = maps.Clone(known)
	}
	next[target] = l
	g.byTarget.Store(&next)
	return l
}

func (g *Guard) limiters() []*serviceLimiter {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Collect(maps.Values(g.byName))
}

// Close fails the calls that wait for a permit, and later ones, with gateway.ErrClosed. It returns when no timer of the
// Guard runs any more, and must not be called from a Done.
func (g *Guard) Close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	for _, l := range g.limiters() {
		l.close()
	}
	g.timers.Wait()
	g.instr.close()
}
