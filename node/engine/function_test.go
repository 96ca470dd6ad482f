package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/engine"
	"github.com/orderly-engine/orderly/node/engine/client"
	"github.com/orderly-engine/orderly/node/timeline"
)

func nothing(context.Context, *engine.Call) (any, error) { return nil, nil }

// call performs a target as the engine does, as the step "send" of a plan, after "wrap".
func call(t *testing.T, do engine.Target, results map[string]string) (*messages.StepReply, error) {
	t.Helper()
	_, functions, err := engine.Plan{Name: "gift", Version: 1, Steps: []engine.Step{
		{Name: "wrap", Do: engine.Function(nothing)}, {Name: "send", Do: do},
	}}.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return functions["send"](t.Context(), &gateway.Call{Attempt: 2, FencingToken: 7, Request: &messages.StepRequest{
		OrderId: "o-1", Step: "send", Direction: "do", IdempotencyKey: "o-1/send/do",
		Order: gift("o-1", "c-7").Message(), Results: results,
	}})
}

func TestReturnValuesBecomeReplies(t *testing.T) {
	deadline := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	type parcel struct {
		Shelf int    `json:"shelf"`
		Tags  []*int `json:"tags"`
	}
	for _, c := range []struct {
		result any
		err    error
		want   string
	}{
		{nil, nil, `{"done":{}}`},
		{parcel{7, []*int{nil}}, nil, `{"done":{"data":{"shelf":7,"tags":[null]}}}`},
		{nil, fmt.Errorf("reserve: %w", engine.Reject("out_of_stock", "none left")), `{"rejected":{"code":"out_of_stock","reason":"none left"}}`},
		{nil, engine.Pending("paid", deadline), `{"pending":{"signal":"paid","deadline":"2030-01-02T03:04:05Z"}}`},
		{nil, engine.Pending("paid", time.Time{}), `{"pending":{"signal":"paid"}}`},
		{nil, engine.RetryAfter(1500*time.Millisecond, errors.New("busy")), `{"retry":{"after":"1.500s","reason":"busy"}}`},
	} {
		reply, err := call(t, engine.Function(func(context.Context, *engine.Call) (any, error) { return c.result, c.err }), nil)
		if err != nil {
			t.Errorf("%s: %v", c.want, err)
			continue
		}
		if got, _ := messages.MarshalJSON(reply); compact(t, got) != compact(t, []byte(c.want)) {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestReturnValuesBecomeFailures(t *testing.T) {
	broken := errors.New("no printer")
	for name, c := range map[string]struct {
		result any
		err    error
		kind   messages.FailureKind
	}{
		"permanent":   {nil, fmt.Errorf("print: %w", engine.Permanent(broken)), messages.Poison},
		"a channel":   {make(chan int), nil, messages.Defect},
		"an infinity": {math.Inf(1), nil, messages.Defect},
		"plain":       {nil, broken, messages.Transient},
	} {
		_, err := call(t, engine.Function(func(context.Context, *engine.Call) (any, error) { return c.result, c.err }), nil)
		var f *delivery.Failure
		if kind := messages.Transient; errors.As(err, &f) && f.Kind != c.kind || f == nil && kind != c.kind || err == nil {
			t.Errorf("%s: got %v, want a %s failure", name, err, c.kind.Label())
		}
		if c.err != nil && !errors.Is(err, broken) {
			t.Errorf("%s: %v does not wrap %v", name, err, broken)
		}
	}
}

func compact(t *testing.T, text []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestTypedDecodesItsInput(t *testing.T) {
	type parcel struct{ Shelf int }
	type input struct {
		Order  engine.Order
		Wrap   parcel
		Again  *parcel `step:"wrap"`
		hidden bool
	}
	var got input
	send := engine.Typed(func(_ context.Context, c *engine.Call, in input) (parcel, error) {
		if c.Key != "o-1/send/do" || c.Attempt != 2 || c.Fence != 7 || c.Undo {
			t.Errorf("called as %+v", c)
		}
		got = in
		return in.Wrap, nil
	})
	results := map[string]string{"wrap": `{"Shelf":7}`}
	reply, err := call(t, send, results)
	if err != nil || reply.GetDone().GetData() != `{"Shelf":7}` {
		t.Errorf("got %v, %v: want the result encoded", reply, err)
	}
	if got.Order.CustomerID != "c-7" || got.Order.Items[0].ProductID != "gift" || got.Wrap.Shelf != 7 || got.Again == nil || got.hidden {
		t.Errorf("got %+v", got)
	}
	if _, err := call(t, send, nil); err != nil || got.Again != nil {
		t.Errorf("without a result: %+v, %v; want zero values", got, err)
	}
	results["wrap"] = `"shelf 7"`
	var f *delivery.Failure
	if _, err := call(t, send, results); !errors.As(err, &f) || f.Kind != messages.Poison || !strings.Contains(err.Error(), "step send: result of step wrap") {
		t.Errorf("a result of another type: %v, want a poison failure that names it", err)
	}
	void := engine.Typed(func(context.Context, *engine.Call, struct{}) (struct{}, error) { return struct{}{}, nil })
	if reply, err := call(t, void, nil); err != nil || reply.GetDone() == nil || reply.GetDone().GetData() != "" {
		t.Errorf("got %v, %v: want done without a result", reply, err)
	}
}

// status waits until the order has the status.
func status(ctx context.Context, t *testing.T, c *client.Client, want string) *timeline.View {
	t.Helper()
	var view *timeline.View
	natstest.Eventually(t, "status "+want, func() bool {
		var err error
		if view, err = c.Order(ctx, "o-1"); err != nil {
			t.Fatal(err)
		}
		return view.Status == want
	})
	return view
}

func kinds(v *timeline.View) string {
	var all []string
	for _, e := range v.Events {
		all = append(all, e.Kind)
	}
	return strings.Join(all, " ")
}

// with runs an engine and calls f with a client.
func (s *server) with(p engine.Plan, f func(context.Context, *client.Client)) {
	s.t.Helper()
	s.withConfig(p, engine.Config{}, f)
}

func (s *server) withConfig(p engine.Plan, cfg engine.Config, f func(context.Context, *client.Client)) {
	s.t.Helper()
	r := s.start(p, cfg)
	c, err := client.New(s.Connect())
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	f(natstest.Context(s.t), c)
	r.stop()
	if err := r.wait(s.t); err != nil {
		s.t.Error(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A panic costs an attempt, not the process. When all are spent the order needs attention, with the place of the panic.
func TestPanicsEndInAttention(t *testing.T) {
	s := newServer(t)
	var calls atomic.Int32
	s.with(engine.Plan{Name: "gift", Version: 1, Steps: []engine.Step{{
		Name:  "wrap",
		Retry: engine.Retry{Attempts: 3, Initial: time.Millisecond, Max: time.Millisecond},
		Do: engine.Function(func(context.Context, *engine.Call) (any, error) {
			if calls.Add(1) > 3 {
				return nil, nil
			}
			panic("out of paper")
		}),
	}}}, func(ctx context.Context, c *client.Client) {
		must(t, c.Create(ctx, gift("o-1", "c-7")))
		view := status(ctx, t, c, "attention")
		if got, want := kinds(view), "accepted step_failed step_failed step_failed attention"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if !strings.Contains(view.LastError, "func:wrap panicked: out of paper (") || !strings.Contains(view.LastError, "engine_test.TestPanicsEndInAttention") {
			t.Errorf("the last error is %q: want the panic and its place", view.LastError)
		}
		must(t, c.Retry(ctx, "o-1"))
		if view, err := c.Wait(ctx, "o-1"); err != nil || view.Status != "completed" {
			t.Errorf("after the retry: %+v, %v", view, err)
		}
	})
}

// In a program without its function an order parks, with no attempt spent; in a program that has it, it continues.
func TestOrderWaitsForANodeWithItsFunction(t *testing.T) {
	s := newServer(t)
	able := engine.Plan{Name: "gift", Version: 1, Steps: []engine.Step{
		{Name: "wrap", Do: engine.Function(func(context.Context, *engine.Call) (any, error) { return nil, engine.Pending("wrapped", time.Time{}) })},
		{Name: "send", Do: engine.Function(nothing)},
	}}
	unable := engine.Plan{Name: "other", Version: 1, Steps: []engine.Step{{Name: "print", Do: engine.URL("sim:")}}}
	s.with(able, func(ctx context.Context, c *client.Client) {
		must(t, c.Create(ctx, gift("o-1", "c-7")))
		status(ctx, t, c, "parked")
	})
	s.with(unable, func(ctx context.Context, c *client.Client) {
		must(t, c.Signal(ctx, "o-1", "wrapped", nil))
		natstest.Eventually(t, "the order parks again", func() bool {
			view, err := c.Order(ctx, "o-1")
			return err == nil && strings.Contains(view.WaitsFor, "has no function send")
		})
	})
	s.with(able, func(ctx context.Context, c *client.Client) {
		must(t, c.Retry(ctx, "o-1")) // the timer takes up to half a minute
		view, err := c.Wait(ctx, "o-1")
		if err != nil || view.Status != "completed" || strings.Contains(kinds(view), "step_failed") {
			t.Errorf("got %+v, %v: want it completed without a failed attempt", view, err)
		}
	})
}
