package actors

import (
	"context"
	"sync"
)

// maxWork is how many reads, look-ups and schedulings of a node are under way at once: enough that none of them waits for
// round trips of the others. After a crash, or when many timers are due at once, thousands of orders are read; all
// together they would keep the server so busy that signs of life come late, deliveries are repeated, and read again.
const maxWork = 128

// background does the work of order actors that blocks, maxWork pieces at once and the others in the order in which they
// came. A goroutine goes on to the next piece: while thousands of orders wake, that saves a stack that grows anew for
// each. Make it with newBackground.
type background struct {
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	waiting []func(context.Context)
	workers int
	done    sync.WaitGroup
}

func newBackground() *background {
	b := &background{}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	return b
}

// do has work done, whose context ends with close; after close it does nothing.
func (b *background) do(work func(context.Context)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.ctx.Err() != nil:
		return
	case b.workers == maxWork:
		b.waiting = append(b.waiting, work)
		return
	}
	b.workers++
	b.done.Go(func() {
		for work != nil {
			work(b.ctx)
			work = b.next()
		}
	})
}

// next is the piece that has waited longest; nil if none does, or nobody wants it any more.
func (b *background) next() func(context.Context) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 || b.ctx.Err() != nil {
		b.workers--
		return nil
	}
	work := b.waiting[0]
	b.waiting[0] = nil
	if b.waiting = b.waiting[1:]; len(b.waiting) == 0 {
		b.waiting = nil
	}
	return work
}

// close cancels what is under way, waits for it, and drops what waits.
func (b *background) close() {
	b.mu.Lock()
	b.cancel()
	b.mu.Unlock()
	b.done.Wait()
}
