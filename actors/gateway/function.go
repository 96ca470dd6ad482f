package gateway

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/actors/directory"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// functionGrace is how long Close waits for functions that ignore their context.
const functionGrace = 5 * time.Second

// Function performs or undoes a step in this process. Its context has the call's trace and ends with the step's timeout or
// when the Set is closed; a function that ignores it keeps running during the next attempt. The Call is read-only, also
// after the call; the reply stays the function's.
//
// It returns a reply that has a result, or an error. An error is a Transient failure unless it wraps a *delivery.Failure of
// kind Poison or Defect. A panic, and a return of neither, is a Defect.
type Function func(context.Context, *Call) (*messages.StepReply, error)

// Functions are the step functions of a program, by the name in func:<name>.
type Functions map[string]Function

var functionName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,63}$`)

func parseFunction(name string) (*target, error) {
	if !functionName.MatchString(name) {
		return nil, fmt.Errorf("%w: function %.80q: want func:name with 1–64 characters of A–Z a–z 0–9 _ . - beginning with a letter", ErrTarget, name)
	}
	return &target{name: "func:" + name, function: name}, nil
}

// Check returns an error that wraps ErrTarget unless target may be written into the plan of a program with these functions. It
// says what is allowed. Whether the node has the downstream that a target names, Directory.Check says.
func (fs Functions) Check(target string) error {
	t, err := parseTarget(target, nil)
	switch {
	case err != nil:
		return err
	case t.url != nil, t.subject != "", t.missing != "":
		return directory.CheckTarget(target)
	case t.function == "" || fs[t.function] != nil:
		return nil
	}
	if len(fs) == 0 {
		return fmt.Errorf("%w %s is a Go function, and this program has none: only a program that embeds the engine can have some", ErrTarget, t.name)
	}
	names := make([]string, 0, len(fs))
	for name := range fs {
		names = append(names, name)
	}
	slices.Sort(names)
	return fmt.Errorf("%w %s names no function of this program: it has %s", ErrTarget, t.name, strings.Join(names, ", "))
}

// functionGateway runs functions, a bounded number of calls of each at a time.
type functionGateway struct {
	set     *Set
	running sync.WaitGroup

	mu     sync.Mutex
	queues map[string]*callQueue // by name
}

func (g *functionGateway) init(s *Set) {
	g.set = s
	g.queues = map[string]*callQueue{}
}

func (g *functionGateway) send(p *pendingCall) {
	name := p.target.function
	function := g.set.cfg.Functions[name]
	if function == nil {
		p.finishOnce(nil, g.set.deferral(p.call, "this node has no function "+name))
		return
	}
	l := g.queue(name)
	l.mu.Lock()
	if l.running == g.set.cfg.FunctionConcurrency {
		l.push(p)
		l.mu.Unlock()
		return
	}
	l.running++
	l.mu.Unlock()
	g.start(l, function, p)
}

func (g *functionGateway) queue(name string) *callQueue {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.queues[name]
	if l == nil {
		l = &callQueue{}
		g.queues[name] = l
	}
	return l
}

// start performs p and then the waiting calls, each in a goroutine of its own: a function may end its goroutine.
func (g *functionGateway) start(l *callQueue, function Function, p *pendingCall) {
	g.running.Go(func() {
		defer func() {
			if next := l.pop(); next != nil {
				g.start(l, function, next)
			}
		}()
		// A call that timed out while it waited has ended.
		if p.ctx.Err() == nil {
			g.perform(function, p)
		}
	})
}

func (g *functionGateway) perform(function Function, p *pendingCall) {
	var (
		reply    *messages.StepReply
		err      error
		returned bool
	)
	defer func() {
		if cause := recover(); cause != nil {
			g.set.cfg.Logger.Error("step function panicked", "function", p.target.function, "step", p.call.Step.GetName(),
				"order_id", p.call.Request.GetOrderId(), "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
			reply, err = nil, fail(messages.Defect, true, "%s panicked: %s (%s)", p.target.name, sanitize(fmt.Sprint(cause), maxReasonBytes), panicLocation())
		} else if !returned {
			err = fail(messages.Defect, true, "%s ended its goroutine: return an error instead", p.target.name)
		}
		p.finishOnce(reply, err)
	}()
	ctx, cancel := context.WithDeadline(p.functionContext(), p.start.Add(p.timeout()))
	defer cancel()
	p.sent.Store(true)
	answer, failed := function(ctx, p.call)
	returned = true
	if errors.Is(failed, context.DeadlineExceeded) && ctx.Err() != nil {
		err = p.timeoutError()
		return
	}
	reply, err = p.readFunctionReply(answer, failed)
}

// functionContext returns the context of the call with its trace.
func (p *pendingCall) functionContext() context.Context {
	if p.span != nil {
		return trace.ContextWithSpan(p.ctx, p.span)
	}
	return w3c.Extract(p.ctx, &p.trace)
}

// readFunctionReply turns a function's return values into the end of the call. It copies the reply through its encoding: the
// function may keep the reply, and one that cannot be encoded must not reach the journal.
func (p *pendingCall) readFunctionReply(reply *messages.StepReply, err error) (*messages.StepReply, error) {
	if err != nil {
		failure := p.fail(messages.Transient, true, "%s", sanitize(err.Error(), maxReasonBytes))
		var typed *delivery.Failure
		if errors.As(err, &typed) {
			failure.RetryAfter = min(max(typed.RetryAfter, 0), maxDelay)
			if typed.Kind == messages.Poison || typed.Kind == messages.Defect {
				failure.Kind = typed.Kind
			}
		}
		return nil, failure
	}
	if reply.GetResult() == nil {
		return nil, fail(messages.Defect, true, "%s returned neither a result nor an error", p.target.name)
	}
	body, err := proto.Marshal(reply)
	kept := &messages.StepReply{}
	if err == nil {
		err = proto.Unmarshal(body, kept)
	}
	if err == nil {
		err = p.accept(&response{larger: len(body) > p.set.cfg.MaxReply, limit: p.set.cfg.MaxReply}, kept)
	}
	switch {
	case err == nil:
		return kept, nil
	case reply.GetDone() != nil:
		return nil, p.doneWithoutData(err)
	}
	return nil, fail(messages.Defect, true, "%s returned a reply that cannot be used: %w", p.target.name, err)
}

// panicLocation returns the function and line where the recovered panic began.
func panicLocation() string {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	panicking := false
	for {
		frame, more := frames.Next()
		switch {
		case frame.Function == "runtime.gopanic":
			panicking = true
		case panicking && !strings.HasPrefix(frame.Function, "runtime."):
			return fmt.Sprintf("%s:%d", frame.Function, frame.Line)
		}
		if !more {
			return "unknown place"
		}
	}
}

// close waits for running functions; their contexts have ended.
func (g *functionGateway) close() {
	ended := make(chan struct{})
	go func() {
		g.running.Wait()
		close(ended)
	}()
	grace := time.NewTimer(functionGrace)
	defer grace.Stop()
	select {
	case <-ended:
	case <-grace.C:
		g.set.cfg.Logger.Warn("step functions still run after the engine was closed: they ignore their context")
	}
}
