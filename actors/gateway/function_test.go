package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

func startFunction(t *testing.T, behavior string, seen chan<- received) (*gateway.Set, string) {
	return newSet(t, nil, gateway.Config{Functions: gateway.Functions{
		"wrap": func(ctx context.Context, c *gateway.Call) (*messages.StepReply, error) {
			carrier := propagation.MapCarrier{}
			propagation.TraceContext{}.Inject(ctx, carrier)
			select {
			case seen <- received{c.Request, "application/json", carrier["traceparent"], fmt.Sprint(c.Attempt), fmt.Sprint(c.FencingToken)}:
			case <-ctx.Done(): // the test has ended
			}
			if reply := behaviors[behavior]; reply != nil {
				return reply, nil
			}
			<-ctx.Done()
			return nil, ctx.Err()
		},
	}}), "func:wrap"
}

// withFunction calls f once, as step "wrap".
func withFunction(t *testing.T, f gateway.Function) (*messages.StepReply, error) {
	t.Helper()
	return callAndWait(t, newSet(t, nil, gateway.Config{MaxReply: 1000, Functions: gateway.Functions{"wrap": f}}), call("func:wrap"))
}

func done(data string) *messages.StepReply {
	return &messages.StepReply{Result: &messages.StepReply_Done{Done: &messages.StepDone{Data: data}}}
}

func TestInvalidFunctionResults(t *testing.T) {
	for name, c := range map[string]struct {
		f    gateway.Function
		kind messages.FailureKind
		want string
	}{
		"error": {func(context.Context, *gateway.Call) (*messages.StepReply, error) {
			return nil, errors.New("paper\njam")
		}, messages.Transient, "func:wrap: paper jam"},
		"error with a reply": {func(context.Context, *gateway.Call) (*messages.StepReply, error) {
			return done(""), errors.New("jam")
		}, messages.Transient, "func:wrap: jam"},
		"poison": {func(context.Context, *gateway.Call) (*messages.StepReply, error) {
			return nil, fmt.Errorf("wrap: %w", &delivery.Failure{Kind: messages.Poison, Err: errors.New("no such paper")})
		}, messages.Poison, "no such paper"},
		"nothing": {func(context.Context, *gateway.Call) (*messages.StepReply, error) {
			return nil, nil //nolint:nilnil // the mistake under test
		}, messages.Defect, "neither a result nor an error"},
		"empty reply": {func(context.Context, *gateway.Call) (*messages.StepReply, error) {
			return &messages.StepReply{}, nil
		}, messages.Defect, "neither a result nor an error"},
		"not JSON": {func(context.Context, *gateway.Call) (*messages.StepReply, error) {
			return done("NaN"), nil
		}, messages.Unreadable, "is not JSON"},
		"not text": {func(context.Context, *gateway.Call) (*messages.StepReply, error) {
			return done("\xff"), nil
		}, messages.Unreadable, "UTF-8"},
		"deep": {func(context.Context, *gateway.Call) (*messages.StepReply, error) {
			return done(strings.Repeat("[", 65) + strings.Repeat("]", 65)), nil
		}, messages.Unreadable, "deeper than 64"},
		"large": {func(context.Context, *gateway.Call) (*messages.StepReply, error) {
			return done(strconv.Quote(strings.Repeat("x", 1000))), nil
		}, messages.Unreadable, "more than 1000 bytes"},
		"long signal": {func(context.Context, *gateway.Call) (*messages.StepReply, error) {
			return &messages.StepReply{Result: &messages.StepReply_Pending{Pending: &messages.StepWaiting{Signal: strings.Repeat("x", 200)}}}, nil
		}, messages.Defect, "200 bytes"},
		"panic": {func(context.Context, *gateway.Call) (*messages.StepReply, error) {
			panic("out of paper")
		}, messages.Defect, "func:wrap panicked: out of paper (github.com/orderly-engine/orderly/actors/gateway_test.TestInvalidFunctionResults"},
		"runtime error": {func(_ context.Context, c *gateway.Call) (*messages.StepReply, error) {
			return done(c.Request.GetOrder().GetItems()[7:][0].GetProductId()), nil
		}, messages.Defect, "slice bounds out of range"},
		"end of the goroutine": {func(context.Context, *gateway.Call) (*messages.StepReply, error) {
			runtime.Goexit()
			return done(""), nil
		}, messages.Defect, "ended its goroutine"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := withFunction(t, c.f)
			f := requireFailure(t, err, c.kind, c.want)
			if !f.InDoubt || f.Done != (c.kind == messages.Unreadable) {
				t.Errorf("in doubt %t, done %t: the function ran", f.InDoubt, f.Done)
			}
		})
	}
}

func TestFunctionPanicIsLoggedWithStack(t *testing.T) {
	var log bytes.Buffer
	set := newSet(t, nil, gateway.Config{Logger: slog.New(slog.NewTextHandler(&log, nil)), Functions: gateway.Functions{
		"wrap": func(context.Context, *gateway.Call) (*messages.StepReply, error) { panic("out of paper") },
	}})
	_, err := callAndWait(t, set, call("func:wrap"))
	_ = requireFailure(t, err, messages.Defect)
	for _, want := range []string{"level=ERROR", "function=wrap", "order_id=o-1", `panic="out of paper"`, "function_test.go"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not contain %s:\n%s", want, log.String())
		}
	}
}

func TestFunctionRetryAfter(t *testing.T) {
	_, err := withFunction(t, func(context.Context, *gateway.Call) (*messages.StepReply, error) {
		return nil, &delivery.Failure{Kind: messages.Transient, RetryAfter: time.Hour, Err: errors.New("closed on Sundays")}
	})
	if f := requireFailure(t, err, messages.Transient, "closed on Sundays"); f.RetryAfter != time.Hour {
		t.Errorf("RetryRetryAfter is %s, want 1h", f.RetryAfter)
	}
}

func TestCheckFunctions(t *testing.T) {
	f := func(context.Context, *gateway.Call) (*messages.StepReply, error) { return done(""), nil }
	some := gateway.Functions{"wrap": f, "pack.v-2": f, "gone": nil}
	for target, want := range map[string]string{
		"func:wrap": "", "func:pack.v-2": "", "nats://wrap": "",
		"func:send": "func:send names no function of this program: it has gone, pack.v-2, wrap",
		"func:gone": "names no function", "func:": "want func:name", "func:a b": "want func:name", "func://wrap": "want func:name", "ftp://x": "scheme",
	} {
		err := some.Check(target)
		if want == "" && err != nil || want != "" && (!errors.Is(err, gateway.ErrTarget) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", target, err, want)
		}
	}
	if err := gateway.Check("func:wrap"); !errors.Is(err, gateway.ErrTarget) || !strings.Contains(err.Error(), "a program that embeds the engine") {
		t.Errorf("a program without functions: got %v", err)
	}
}

// A function may change its reply after it returned.
func TestFunctionOwnsItsReply(t *testing.T) {
	kept := done(`"before"`)
	set := newSet(t, nil, gateway.Config{Functions: gateway.Functions{
		"wrap": func(context.Context, *gateway.Call) (*messages.StepReply, error) { return kept, nil },
	}})
	reply, err := callAndWait(t, set, call("func:wrap"))
	if err != nil {
		t.Fatal(err)
	}
	kept.GetDone().Data = `"after"`
	if reply.GetDone().GetData() != `"before"` {
		t.Errorf("the reply is %s", reply)
	}
}

func TestFunctionRunsInTheSpanOfItsCall(t *testing.T) {
	provider := sdktrace.NewTracerProvider()
	defer func() { _ = provider.Shutdown(context.Background()) }()
	var seen trace.SpanContext
	set := newSet(t, nil, gateway.Config{Tracer: provider.Tracer("test"), Functions: gateway.Functions{
		"wrap": func(ctx context.Context, _ *gateway.Call) (*messages.StepReply, error) {
			seen = trace.SpanContextFromContext(ctx)
			return done(""), nil
		},
	}})
	if _, err := callAndWait(t, set, call("func:wrap")); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(traceparent, seen.TraceID().String()) || strings.Contains(traceparent, seen.SpanID().String()) || seen.IsRemote() {
		t.Errorf("the function ran in %v, want a span of its own in the trace of %s", seen, traceparent)
	}
}

// Of 100 calls with a limit of three, three run at a time, the others wait without blocking the caller, and another function
// does not wait.
func TestFunctionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int32
		set := gateway.New(nil, gateway.Config{FunctionConcurrency: 3, Functions: gateway.Functions{
			"wrap": func(ctx context.Context, _ *gateway.Call) (*messages.StepReply, error) {
				most.Store(max(most.Load(), running.Add(1)))
				defer running.Add(-1)
				time.Sleep(time.Second)
				return done(""), ctx.Err()
			},
			"pack": func(context.Context, *gateway.Call) (*messages.StepReply, error) { return done(""), nil },
		}})
		defer set.Close()
		ended := make(chan error, 101)
		begun := time.Now()
		for range 100 {
			c := call("func:wrap")
			c.Step.Timeout = durationpb.New(20500 * time.Millisecond)
			set.Do(c, func(_ *messages.StepReply, err error) { ended <- err })
		}
		packed := make(chan error, 1)
		set.Do(call("func:pack"), func(_ *messages.StepReply, err error) { packed <- err })
		if err := <-packed; err != nil || !time.Now().Equal(begun) {
			t.Errorf("the other function ended after %s with %v", time.Since(begun), err)
		}
		var good, late, inDoubt int
		for range 100 {
			if err := <-ended; err == nil {
				good++
			} else {
				if f := requireFailure(t, err, messages.Transient, "did not answer within 20.5s"); f.InDoubt {
					inDoubt++
				}
				late++
			}
		}
		if good != 60 || late != 40 || inDoubt != 3 || most.Load() != 3 {
			t.Errorf("%d calls succeeded, %d timed out, %d of them in doubt, %d ran at a time: want 60, 40, 3, 3", good, late, inDoubt, most.Load())
		}
	})
}

// Calls that wait behind a function that never ends are freed when they time out.
func TestCallsBehindHangingFunctionAreFreed(t *testing.T) {
	release := make(chan struct{})
	set := newSet(t, nil, gateway.Config{FunctionConcurrency: 1, Functions: gateway.Functions{
		"wrap": func(context.Context, *gateway.Call) (*messages.StepReply, error) {
			<-release
			return done(""), nil
		},
	}})
	defer close(release)
	attempt := func() weak.Pointer[messages.StepRequest] {
		c := call("func:wrap")
		c.Step.Timeout = durationpb.New(time.Millisecond)
		_, err := callAndWait(t, set, c)
		_ = requireFailure(t, err, messages.Transient, "did not answer within 1ms")
		return weak.Make(c.Request)
	}
	attempt()
	var waited []weak.Pointer[messages.StepRequest]
	for range 100 {
		waited = append(waited, attempt())
	}
	runtime.GC()
	var kept int
	for _, request := range waited {
		if request.Value() != nil {
			kept++
		}
	}
	if kept > 2 {
		t.Errorf("%d of 100 ended calls are still referenced", kept)
	}
}

// A function that ignores its context delays Close by five seconds.
func TestCloseGivesUpOnHangingFunctions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		set := gateway.New(nil, gateway.Config{Functions: gateway.Functions{
			"wrap": func(context.Context, *gateway.Call) (*messages.StepReply, error) {
				<-release
				return done(""), nil
			},
		}})
		ended := make(chan error, 1)
		set.Do(call("func:wrap"), func(_ *messages.StepReply, err error) { ended <- err })
		synctest.Wait()
		begun := time.Now()
		set.Close()
		if took := time.Since(begun); took != 5*time.Second {
			t.Errorf("Close took %s, want 5s", took)
		}
		_ = requireFailure(t, <-ended, messages.Transient, gateway.ErrClosed.Error())
		close(release)
	})
}
