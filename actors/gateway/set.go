package gateway

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"github.com/orderly-engine/orderly/actors/reading"
	"github.com/orderly-engine/orderly/messages"
)

// defaultTimeout is that of a step without one.
const defaultTimeout = 2 * time.Second

// Call is one attempt of a step.
type Call struct {
	Step      *messages.Step
	Direction messages.Direction
	// Request is the body: the same bytes for every attempt with its idempotency key.
	Request *messages.StepRequest
	// Attempt is 1 for the first call.
	Attempt uint32
	// FencingToken is the journal sequence that the call acts on; a service may refuse a smaller one than it has seen.
	FencingToken uint64
	// Traceparent and Tracestate are the W3C trace context of the call, or empty.
	Traceparent, Tracestate string
	// Trial: the call finds out whether its downstream is back, and is made over a new connection.
	Trial bool

	dropped atomic.Bool
}

// Drop cancels a call that has not been made yet: its caller no longer needs the reply.
func (c *Call) Drop() { c.dropped.Store(true) }

// Dropped reports whether Drop was called.
func (c *Call) Dropped() bool { return c.dropped.Load() }

// Target returns the URL to call.
func (c *Call) Target() string {
	if c.Direction == messages.Undo {
		return c.Step.GetUndo()
	}
	return c.Step.GetDo()
}

// signal is the signal of a pending answer that names none: an undo has another one than its do.
func (c *Call) signal() string {
	if c.Direction == messages.Undo {
		return c.Step.GetName() + "_undo"
	}
	return c.Step.GetName()
}

// Done gets the end of a call: a reply, which is read-only, or an error that wraps a *delivery.Failure. It is called exactly
// once per call, from any goroutine, perhaps before Do returns, and must not block.
type Done func(*messages.StepReply, error)

// Set makes step calls over every transport. It is safe for concurrent use.
type Set struct {
	cfg      Config
	targets  targetCache
	readings reading.Cache
	metrics  *instrumentation
	nats     natsGateway
	http     httpGateway
	funcs    functionGateway
	missing  missingTargets

	closed  atomic.Bool
	calls   sync.WaitGroup // one count per Done that has not returned, one per Do that is sending
	mu      sync.Mutex
	pending map[uint64]*pendingCall // calls in flight, by id
	lastID  uint64
}

// New returns a Set that calls NATS services over nc, which stays the caller's; it may be nil if no target needs it. cfg must
// be valid.
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

// Check is Functions.Check for a program without functions.
func Check(target string) error { return Functions(nil).Check(target) }

// Do makes one attempt and calls done with its end. It does not block.
func (s *Set) Do(c *Call, done Done) {
	if s.closed.Load() {
		done(nil, fail(messages.Transient, false, "call step %s: %w", c.Step.GetName(), ErrClosed))
		return
	}
	t, err := s.targets.get(c.Target(), s.cfg.Directory)
	if err != nil {
		done(nil, fail(messages.Poison, false, "call step %s %s: %w", c.Step.GetName(), c.Direction.Label(), err))
		return
	}
	if t.missing != "" {
		done(nil, s.deferral(c, t.missing))
		return
	}
	if why := s.checkReading(c); why != "" {
		done(nil, s.deferral(c, why))
		return
	}
	if t.sim != nil && t.sim.latency == 0 && s.cfg.Tracer == nil {
		s.answerInline(t.sim, c, done)
		return
	}
	p := s.register(c, t, done)
	if p == nil {
		done(nil, fail(messages.Transient, false, "call step %s: %w", c.Step.GetName(), ErrClosed))
		return
	}
	switch {
	case t.subject != "":
		s.nats.send(p)
	case t.url != nil:
		s.http.send(p)
	case t.function != "":
		s.funcs.send(p)
	case t.sim.latency == 0:
		p.answerSim()
	}
	s.calls.Done()
}

// answerInline answers a simulated call without latency, so without an entry and a timer.
func (s *Set) answerInline(m *sim, c *Call, done Done) {
	if !s.metrics.enabled() {
		done(m.answer(c, s.cfg.ServerTime))
		return
	}
	start := time.Now()
	reply, err := m.answer(c, s.cfg.ServerTime)
	s.metrics.record(c, resultOf(reply, err), time.Since(start))
	done(reply, err)
}

// pendingCall is a call in flight. Of timer, reply and Close, the one that removes it from the Set finishes it.
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
	// conn is the connection of an HTTP call that was sent.
	conn atomic.Pointer[usedConnection]
	// sent: the request may have reached the service.
	sent atomic.Bool
	// head is an HTTP answer whose body is being read.
	head atomic.Pointer[response]
	// ctx ends with the call; only for HTTP and functions.
	ctx    context.Context
	cancel context.CancelFunc
}

// register adds a call to the pending ones and starts its timer; nil if the Set is closed. The caller calls s.calls.Done once
// the call is sent, so that Close waits for the sending.
func (s *Set) register(c *Call, t *target, done Done) *pendingCall {
	p := &pendingCall{set: s, call: c, target: t, done: done, start: time.Now()}
	if t.url != nil || t.function != "" {
		p.ctx, p.cancel = context.WithCancel(context.Background())
	}
	p.sent.Store(t.sim != nil)
	p.startSpan(s.cfg.Tracer)

	s.mu.Lock()
	if s.closed.Load() {
		s.mu.Unlock()
		p.endSpan(resultFailed, ErrClosed)
		return nil
	}
	s.calls.Add(2)
	s.lastID++
	p.id = s.lastID
	s.pending[p.id] = p
	// The lock is held until the timer is set: finish needs it.
	if t.sim != nil && t.sim.latency <= p.timeout() {
		p.timer = time.AfterFunc(t.sim.latency, p.answerSim)
	} else {
		p.timer = time.AfterFunc(p.timeout(), p.onTimeout)
	}
	s.mu.Unlock()
	return p
}

// remove removes a call from the pending ones; nil if it has been removed already.
func (s *Set) remove(id uint64) *pendingCall {
	s.mu.Lock()
	p := s.pending[id]
	delete(s.pending, id)
	s.mu.Unlock()
	return p
}

// removeAll removes the calls to the targets that match.
func (s *Set) removeAll(match func(*target) bool) []*pendingCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	var removed []*pendingCall
	for id, p := range s.pending {
		if match(p.target) {
			removed = append(removed, p)
			delete(s.pending, id)
		}
	}
	return removed
}

// finish calls done with the end of the call. It must follow a successful remove.
func (p *pendingCall) finish(reply *messages.StepReply, err error) {
	p.timer.Stop()
	if p.cancel != nil {
		p.cancel()
	}
	r := resultOf(reply, err)
	p.endSpan(r, err)
	if p.set.metrics.enabled() {
		p.set.metrics.record(p.call, r, time.Since(p.start))
	}
	p.done(reply, err)
	p.set.calls.Done()
}

// finishOnce finishes the call unless that has been done.
func (p *pendingCall) finishOnce(reply *messages.StepReply, err error) {
	if p.set.remove(p.id) != nil {
		p.finish(reply, err)
	}
}

// onTimeout ends the call when its time is over. If the answer has begun, its status counts.
func (p *pendingCall) onTimeout() {
	p.checkConnection()
	head := p.head.Load()
	if head == nil {
		p.finishOnce(nil, p.timeoutError())
		return
	}
	a := *head
	a.cut = fmt.Errorf("it did not end within %s", p.timeout())
	p.finishOnce(p.read(&a))
}

func (p *pendingCall) timeoutError() error {
	return fail(messages.Transient, p.sent.Load(), "%s did not answer within %s", p.target.name, p.timeout())
}

// answerSim finishes a simulated call.
func (p *pendingCall) answerSim() { p.finishOnce(p.target.sim.answer(p.call, p.set.cfg.ServerTime)) }

func (p *pendingCall) timeout() time.Duration {
	if d := p.call.Step.GetTimeout().AsDuration(); d > 0 {
		return d
	}
	return defaultTimeout
}

// Close fails the calls in flight, and later ones, with ErrClosed. It returns when every Done has returned and every goroutine
// has ended, except that it waits for a function for five seconds at most. It must not be called from a Done.
func (s *Set) Close() {
	s.mu.Lock()
	s.closed.Store(true)
	pending := s.pending
	s.pending = map[uint64]*pendingCall{}
	s.mu.Unlock()
	for _, p := range pending {
		p.finish(nil, fail(messages.Transient, p.sent.Load(), "call %s: %w", p.target.name, ErrClosed))
	}
	s.calls.Wait()
	s.nats.close()
	s.http.close()
	s.funcs.close()
}
