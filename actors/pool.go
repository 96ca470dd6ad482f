package actors

import (
	"context"
	"sync"
)

// maxConcurrent is how many reads, look-ups and schedulings of a node run at a time: enough that none waits for the round
// trips of others. After a crash, or when many timers are due at once, thousands of orders are read; all at once they would
// keep the server so busy that progress acknowledgements would be late, and deliveries repeated and read again.
const maxConcurrent = 128

// pool runs the blocking work of order actors, maxConcurrent tasks at a time and the others first in, first out. Its
// goroutines are reused: thousands of orders that wake at once would otherwise grow as many stacks. Make it with newPool.
type pool struct {
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	waiting []func(context.Context)
	workers int
	done    sync.WaitGroup
}

func newPool() *pool {
	p := &pool{}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// run does work in the background, with a context that ends with close. After close it does nothing.
func (p *pool) run(work func(context.Context)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ctx.Err() != nil:
		return
	case p.workers == maxConcurrent:
		p.waiting = append(p.waiting, work)
		return
	}
	p.workers++
	p.done.Go(func() {
		for work != nil {
			work(p.ctx)
			work = p.next()
		}
	})
}

// next returns the task that has waited longest; nil ends the worker.
func (p *pool) next() func(context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) == 0 || p.ctx.Err() != nil {
		p.workers--
		return nil
	}
	work := p.waiting[0]
	p.waiting[0] = nil
	if p.waiting = p.waiting[1:]; len(p.waiting) == 0 {
		p.waiting = nil
	}
	return work
}

// close cancels running tasks, waits for them, and discards waiting ones.
func (p *pool) close() {
	p.mu.Lock()
	p.cancel()
	p.mu.Unlock()
	p.done.Wait()
}
