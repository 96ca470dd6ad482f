package actors

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// completion is the message by which an operation brings its result to the actor that started it. Appends, step calls,
// background work and timers all end with one.
type completion interface {
	// startedBy is the actor instance that started the operation: after a restart another one gets the message.
	startedBy() *Order
	// complete handles the result; it runs in the actor.
	complete()
}

// operation is the common part of all completions.
type operation struct {
	actor *Order
	self  *actor.PID
	root  *actor.RootContext
}

func (o *Order) newOperation() operation {
	return operation{actor: o, self: o.ctx.Self(), root: o.ctx.ActorSystem().Root}
}

func (op *operation) startedBy() *Order { return op.actor }

// post sends the completion from any goroutine.
func (op *operation) post(c completion) { op.root.Send(op.self, c) }

// asyncResult completes background work.
type asyncResult[T any] struct {
	operation
	value  T
	err    error
	onDone func(*Order, T, error)
}

func (r *asyncResult[T]) complete() {
	r.actor.busy = false
	r.onDone(r.actor, r.value, r.err)
}

// pipeToSelf runs blocking work on the pool's goroutines, and then onDone in the actor, which is busy
// until then.
func pipeToSelf[T any](o *Order, work func(context.Context) (T, error), onDone func(*Order, T, error)) {
	o.busy = true
	id, r := o.id(), &asyncResult[T]{operation: o.newOperation(), onDone: onDone}
	o.pool.run(func(ctx context.Context) {
		defer r.post(r)
		// A panic fails the actor, not the node.
		defer func() {
			if cause := recover(); cause != nil {
				o.cfg.Logger.Error("work of an order actor panicked", "order_id", string(id), "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
				r.err = defect(fmt.Errorf("panic: %v", cause))
			}
		}()
		ctx, cancel := context.WithTimeout(ctx, o.cfg.Timeout)
		defer cancel()
		r.value, r.err = work(ctx)
	})
}

// timer completes a wait.
type timer struct {
	operation
	onFired func(*Order)
	cancel  func() bool
	stopped bool
}

// startTimer calls onFired in the actor when d has passed.
func (o *Order) startTimer(d time.Duration, onFired func(*Order)) *timer {
	t := &timer{operation: o.newOperation(), onFired: onFired}
	t.cancel = o.cfg.AfterFunc(d, func() { t.post(t) })
	return t
}

func (t *timer) complete() {
	if !t.stopped {
		t.onFired(t.actor)
	}
}

// stop cancels the timer; its message may be in the mailbox already.
func (t *timer) stop() {
	t.stopped = true
	t.cancel()
}

// IgnoreDeadLetterLogging: the order may have ended, and its actor stopped, before the time is over.
func (*timer) IgnoreDeadLetterLogging() {}
