package gateway

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"github.com/orderly-engine/orderly/messages"
)

// defaultTimeout stands in for a step that names none, as plans made by hand may.
const defaultTimeout = 2 * time.Second

// Call is one attempt of a step.
type Call struct {
	Step      *messages.Step
	Direction messages.Direction
	Request   *messages.StepRequest
	// Traceparent and Tracestate are the W3C trace context the call belongs to, or empty.
	Traceparent, Tracestate string

	dropped atomic.Bool
}

// Drop says that nobody waits for the answer any more: a call that waits for its turn is not to be made.
func (c *Call) Drop() { c.dropped.Store(true) }

// Dropped reports whether Drop was called.
func (c *Call) Dropped() bool { return c.dropped.Load() }

// Target is the URL that the call goes to.
func (c *Call) Target() string {
	if c.Direction == messages.Undo {
		return c.Step.GetUndo()
	}
	return c.Step.GetDo()
}

// Done takes the answer to a call: a reply, or an error that wraps a Transient or Poison *delivery.Failure. It is
// called exactly once per call, from any goroutine, perhaps before Do returns; it must not block. The reply is read-only.
type Done func(*messages.StepReply, error)

// Set performs step calls over every kind of gateway. It is safe for concurrent use.
type Set struct {
	cfg     Config
	targets targetCache
	metrics *instrumentation
	nats    natsGateway
	http    httpGateway
	funcs   functionGateway

	closed  atomic.Bool
	calls   sync.WaitGroup // one share per done that has not returned, one per Do that is sending
	mu      sync.Mutex
	pending map[uint64]*pendingCall // calls under way, by token
	lastID  uint64
}

// New returns a Set that calls NATS services over nc, which stays the caller's and may be nil where no target needs
// it. cfg must be valid.
func New(nc *nats.Conn, cfg Config) *Set {
	cfg = cfg.withDefaults()
	s := &Set{
		cfg:     cfg,
		metrics: newInstrumentation(cfg.Meter),
		pending: map[uint64]*pendingCall{},
	}
	s.nats.init(s, nc)
	s.http.init(s)
	s.funcs.init(s)
	return s
}

// Check is Set.Check for those who have no Set, and no functions.
func Check(target string) error { return Functions(nil).Check(target) }

// Do performs one attempt and hands the answer to done. It does not block.
func (s *Set) Do(c *Call, done Done) {
	if s.closed.Load() {
		done(nil, transient("call step %s: %w", c.Step.GetName(), ErrClosed))
		return
	}
	t, err := s.targets.get(c.Target())
	if err != nil {
		done(nil, poison("call step %s %s: %w", c.Step.GetName(), c.Direction.Label(), err))
		return
	}
	if t.sim != nil && t.sim.latency == 0 && s.cfg.Tracer == nil {
		s.answerInline(t.sim, c, done)
		return
	}
	f := s.register(c, t, done)
	if f == nil {
		done(nil, transient("call step %s: %w", c.Step.GetName(), ErrClosed))
		return
	}
	switch {
	case t.subject != "":
		s.nats.send(f)
	case t.url != nil:
		s.http.send(f)
	case t.function != "":
		s.funcs.send(f)
	case t.sim.latency == 0:
		f.answerSim()
	}
	s.calls.Done()
}

// doAtOnce answers a simulated call without the bookkeeping that only a wait needs.
func (s *Set) answerInline(m *sim, c *Call, done Done) {
	if !s.metrics.enabled() {
		done(m.answer(c))
		return
	}
	start := time.Now()
	reply, err := m.answer(c)
	s.metrics.record(c, resultOf(reply, err), time.Since(start))
	done(reply, err)
}

// flight is a call under way. Whoever takes it out of the Set ends it.
type pendingCall struct {
	set    *Set
	call   *Call
	target *target
	done   Done
	id     uint64
	start  time.Time
	timer  *time.Timer
	trace  traceContext
	span   trace.Span // nil without a tracer
	// ctx ends with the flight; HTTP and functions only.
	ctx    context.Context
	cancel context.CancelFunc
}

// launch enters a call under way and starts its clock; nil when the Set is closed. The caller ends its own share of
// s.calls once the call is sent, so that Close cannot overtake the sending.
func (s *Set) register(c *Call, t *target, done Done) *pendingCall {
	f := &pendingCall{set: s, call: c, target: t, done: done, start: time.Now()}
	if t.url != nil || t.function != "" {
		f.ctx, f.cancel = context.WithCancel(context.Background())
	}
	f.startSpan(s.cfg.Tracer)

	s.mu.Lock()
	if s.closed.Load() {
		s.mu.Unlock()
		f.endSpan(resultFailed, ErrClosed)
		return nil
	}
	s.calls.Add(2)
	s.lastID++
	f.id = s.lastID
	s.pending[f.id] = f
	// Made under the lock: a clock that is up at once finds the flight entered, whoever takes it finds the timer.
	if t.sim != nil && t.sim.latency <= f.timeout() {
		f.timer = time.AfterFunc(t.sim.latency, f.answerSim)
	} else {
		f.timer = time.AfterFunc(f.timeout(), f.onTimeout)
	}
	s.mu.Unlock()
	return f
}

// take removes a flight; nil when somebody else has ended it.
func (s *Set) remove(token uint64) *pendingCall {
	s.mu.Lock()
	f := s.pending[token]
	delete(s.pending, token)
	s.mu.Unlock()
	return f
}

// end hands the answer to the caller. Only the flight's taker calls it.
func (f *pendingCall) finish(reply *messages.StepReply, err error) {
	f.timer.Stop()
	if f.cancel != nil {
		f.cancel()
	}
	r := resultOf(reply, err)
	f.endSpan(r, err)
	if f.set.metrics.enabled() {
		f.set.metrics.record(f.call, r, time.Since(f.start))
	}
	f.done(reply, err)
	f.set.calls.Done()
}

// endIfMine ends the flight unless somebody else has.
func (f *pendingCall) finishOnce(reply *messages.StepReply, err error) {
	if f.set.remove(f.id) != nil {
		f.finish(reply, err)
	}
}

func (f *pendingCall) onTimeout() { f.finishOnce(nil, f.timeoutError()) }

func (f *pendingCall) timeoutError() error {
	return transient("%s did not answer within %s", f.target.name, f.timeout())
}

// answer ends a simulated call.
func (f *pendingCall) answerSim() { f.finishOnce(f.target.sim.answer(f.call)) }

func (f *pendingCall) timeout() time.Duration {
	if d := f.call.Step.GetTimeout().AsDuration(); d > 0 {
		return d
	}
	return defaultTimeout
}

// Close fails the calls under way and waits until every done has returned and every goroutine has ended. Calls that
// come later fail at once. It must not be called from a done.
func (s *Set) Close() {
	s.mu.Lock()
	s.closed.Store(true)
	under := s.pending
	s.pending = map[uint64]*pendingCall{}
	s.mu.Unlock()
	for _, f := range under {
		f.finish(nil, transient("call %s: %w", f.target.name, ErrClosed))
	}
	s.calls.Wait()
	s.nats.close()
	s.http.close()
	s.funcs.close()
}

// transport returns the carrier of HTTP calls, tuned for many calls to few hosts.
func (c Config) transport() http.RoundTripper {
	if c.Transport != nil {
		return c.Transport
	}
	return newTransport(c.HTTPConcurrency)
}
