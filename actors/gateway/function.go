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

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// functionGrace bounds the wait of Close for functions that do not heed their context.
const functionGrace = 5 * time.Second

// Function performs a step in this process, or undoes it. Its context carries the call's trace and ends with the step's
// time-out, or with the Set; a function that ignores it runs on beside its next attempt. The request is read-only, also
// after the call; the reply stays the function's.
//
// It answers with a reply that has a result, or with an error. An error is a Transient failure, unless it wraps a
// *delivery.Failure of kind Poison or Defect. A panic is a Defect, and so is an answer that is neither reply nor error.
type Function func(context.Context, *messages.StepRequest) (*messages.StepReply, error)

// Functions are the step functions of a program, by the name in their targets func:<name>.
type Functions map[string]Function

var functionName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,63}$`)

func parseFunction(name string) (*target, error) {
	if !functionName.MatchString(name) {
		return nil, fmt.Errorf("%w: function %.80q: want func:name with 1–64 characters of A–Z a–z 0–9 _ . - beginning with a letter", ErrTarget, name)
	}
	return &target{name: "func:" + name, function: name}, nil
}

// Check says whether target is a URL that can be called by a program with these functions; the error wraps ErrTarget
// and says what is allowed.
func (fs Functions) Check(target string) error {
	t, err := parseTarget(target)
	if err != nil || t.function == "" || fs[t.function] != nil {
		return err
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

// functionGateway runs functions, a bounded number of calls of each at once.
type functionGateway struct {
	set     *Set
	running sync.WaitGroup
	missing missingFunctions

	mu     sync.Mutex
	queues map[string]*callQueue // by name
}

func (g *functionGateway) init(s *Set) {
	g.set = s
	g.queues = map[string]*callQueue{}
}

func (g *functionGateway) send(f *pendingCall) {
	name := f.target.function
	function := g.set.cfg.Functions[name]
	if function == nil {
		f.finishOnce(nil, g.missing.deferral(f))
		return
	}
	l := g.queue(name)
	l.mu.Lock()
	if l.running == g.set.cfg.FunctionConcurrency {
		l.push(f)
		l.mu.Unlock()
		return
	}
	l.running++
	l.mu.Unlock()
	g.start(l, function, f)
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

// start performs f and then whatever waits. Each call has a goroutine of its own, for a function may end its own.
func (g *functionGateway) start(l *callQueue, function Function, f *pendingCall) {
	g.running.Go(func() {
		defer func() {
			if next := l.pop(); next != nil {
				g.start(l, function, next)
			}
		}()
		// A call whose time is up while it waited is over.
		if f.ctx.Err() == nil {
			g.perform(function, f)
		}
	})
}

func (g *functionGateway) perform(function Function, f *pendingCall) {
	var (
		reply    *messages.StepReply
		err      error
		returned bool
	)
	defer func() {
		if cause := recover(); cause != nil {
			g.set.cfg.Logger.Error("step function panicked", "function", f.target.function, "step", f.call.Step.GetName(),
				"order_id", f.call.Request.GetOrderId(), "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
			reply, err = nil, defect("%s panicked: %s (%s)", f.target.name, sanitize(fmt.Sprint(cause), maxReasonBytes), panicLocation())
		} else if !returned {
			err = defect("%s ended its goroutine: return an error instead", f.target.name)
		}
		f.finishOnce(reply, err)
	}()
	ctx, cancel := context.WithDeadline(f.functionContext(), f.start.Add(f.timeout()))
	defer cancel()
	answer, failed := function(ctx, f.call.Request)
	returned = true
	if errors.Is(failed, context.DeadlineExceeded) && ctx.Err() != nil {
		err = f.timeoutError()
		return
	}
	reply, err = f.readFunctionReply(answer, failed)
}

// functionContext is the context of the flight with its trace.
func (f *pendingCall) functionContext() context.Context {
	if f.span != nil {
		return trace.ContextWithSpan(f.ctx, f.span)
	}
	return w3c.Extract(f.ctx, &f.trace)
}

// read says what a function's answer means. The reply is copied by way of its encoding: the function may hold on to it,
// and what cannot be encoded must not reach the journal.
func (f *pendingCall) readFunctionReply(reply *messages.StepReply, err error) (*messages.StepReply, error) {
	if err != nil {
		failure := &delivery.Failure{Kind: messages.Transient}
		var typed *delivery.Failure
		if errors.As(err, &typed) {
			failure.RetryAfter = min(typed.RetryAfter, maxDelay)
			if typed.Kind == messages.Poison || typed.Kind == messages.Defect {
				failure.Kind = typed.Kind
			}
		}
		failure.Err = fmt.Errorf("%s: %s", f.target.name, sanitize(err.Error(), maxReasonBytes))
		return nil, failure
	}
	if reply.GetResult() == nil {
		return nil, defect("%s returned neither a result nor an error", f.target.name)
	}
	body, err := proto.Marshal(reply)
	if limit := f.set.cfg.MaxReply; err == nil && len(body) > limit {
		err = fmt.Errorf("it has %d bytes: at most %d are allowed", len(body), limit)
	}
	kept := &messages.StepReply{}
	if err == nil {
		err = proto.Unmarshal(body, kept)
	}
	if err == nil {
		err = normalizeReply(kept, f.call.Step)
	}
	if err != nil {
		return nil, defect("%s returned a reply that cannot be used: %w", f.target.name, err)
	}
	return kept, nil
}

// panicked is where the panic that is being recovered from began.
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

func defect(format string, args ...any) error {
	return &delivery.Failure{Kind: messages.Defect, Err: fmt.Errorf(format, args...)}
}

// close waits for the functions that run; their contexts have ended.
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
		g.set.cfg.Logger.Warn("step functions run on after the engine's end: they do not heed their context")
	}
}
