package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/node/engine"
	"github.com/orderly-engine/orderly/node/engine/client"
	"github.com/orderly-engine/orderly/node/timeline"
)

func TestAnswersAreWhatTheProtocolSays(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	type answer = func() (*messages.StepReply, error)
	for want, f := range map[string]answer{
		`{"done":{}}`: func() (*messages.StepReply, error) { return engine.Done(nil) },
		`{"done":{"data":{"shelf":7,"tags":["a",null]}}}`: func() (*messages.StepReply, error) {
			return engine.Done(struct {
				Shelf int    `json:"shelf"`
				Tags  []*any `json:"tags"`
			}{7, []*any{ptr[any]("a"), nil}})
		},
		`{"rejected":{"code":"out_of_stock","reason":"none left"}}`:       func() (*messages.StepReply, error) { return engine.Rejected("out_of_stock", "none left") },
		`{"pending":{"signal":"paid","deadline":"2030-01-02T03:04:05Z"}}`: func() (*messages.StepReply, error) { return engine.Pending("paid", at) },
		`{"pending":{"signal":"paid"}}`:                                   func() (*messages.StepReply, error) { return engine.Pending("paid", time.Time{}) },
		`{"retry":{"after":"1.500s","reason":"tea time"}}`:                func() (*messages.StepReply, error) { return engine.Retry(1500*time.Millisecond, "tea time") },
	} {
		reply, err := f()
		if err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		body, err := protojson.Marshal(reply)
		if err != nil {
			t.Fatal(err)
		}
		var got, wanted any
		if json.Unmarshal(body, &got) != nil || json.Unmarshal([]byte(want), &wanted) != nil {
			t.Fatalf("not JSON: %s or %s", body, want)
		}
		if g, w := compact(got), compact(wanted); g != w {
			t.Errorf("got %s, want %s", g, w)
		}
	}
	for _, bad := range []any{make(chan int), math.Inf(1)} {
		_, err := engine.Done(bad)
		var f *delivery.Failure
		if !errors.As(err, &f) || f.Kind != messages.Defect {
			t.Errorf("%T as data: got %v, want a defect", bad, err)
		}
	}
}

func ptr[T any](v T) *T { return &v }

func compact(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

func TestResultOfAnEarlierStep(t *testing.T) {
	r := &messages.StepRequest{Step: "send", Results: map[string]*structpb.Value{"wrap": structpb.NewNumberValue(7)}}
	var n int
	if err := engine.Result(r, "wrap", &n); err != nil || n != 7 {
		t.Errorf("got %d, %v: want 7", n, err)
	}
	var text string
	if err := engine.Result(r, "wrap", &text); err == nil || !strings.Contains(err.Error(), "result of step wrap") {
		t.Errorf("a number as a text: %v", err)
	}
	if err := engine.Result(r, "pack", &n); !errors.Is(err, engine.ErrNoResult) {
		t.Errorf("got %v, want %v", err, engine.ErrNoResult)
	}
}

// carry runs an engine and hands a client to f.
func (s *site) carry(cfg engine.Config, f func(context.Context, *client.Client)) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	e, err := engine.New(ctx, s.connect(), cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	running, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(running, nil) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			s.t.Error(err)
		}
	}()
	c, err := client.New(s.connect())
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	f(ctx, c)
}

// status waits until an order has the status.
func status(ctx context.Context, t *testing.T, c *client.Client, want string) *timeline.View {
	t.Helper()
	var view *timeline.View
	until(t, "status "+want, func() bool {
		var err error
		if view, err = c.Order(ctx, "o-1"); err != nil {
			t.Fatal(err)
		}
		return view.Status == want
	})
	return view
}

func publish(ctx context.Context, t *testing.T, c *client.Client, m proto.Message) {
	t.Helper()
	if err := c.Publish(ctx, "o-1", m); err != nil {
		t.Fatal(err)
	}
}

func kinds(v *timeline.View) string {
	var all []string
	for _, e := range v.Events {
		all = append(all, e.Kind)
	}
	return strings.Join(all, " ")
}

// A panic costs an attempt, not the process; when all are spent the order waits for a person, who learns where it was.
func TestPanicsEndInAttention(t *testing.T) {
	s := newSite(t)
	var calls atomic.Int32
	s.carry(engine.Config{Node: "n-1", Plan: &messages.Plan{Name: "gift", Version: 1, Steps: []*messages.Step{{
		Name: "wrap", Do: "func:wrap",
		Retry: &messages.Retry{Attempts: 3, Initial: durationpb.New(time.Millisecond), Max: durationpb.New(time.Millisecond)},
	}}}, Functions: engine.Functions{
		"wrap": func(context.Context, *messages.StepRequest) (*messages.StepReply, error) {
			if calls.Add(1) > 3 {
				return engine.Done(nil)
			}
			panic("out of paper")
		},
	}}, func(ctx context.Context, c *client.Client) {
		publish(ctx, t, c, gift("o-1", "c-7"))
		view := status(ctx, t, c, "attention")
		if got, want := kinds(view), "accepted step_failed step_failed step_failed attention"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if !strings.Contains(view.LastError, "func:wrap panicked: out of paper (") || !strings.Contains(view.LastError, "engine_test.TestPanicsEndInAttention") {
			t.Errorf("the last error is %q: want the panic and its place", view.LastError)
		}
		publish(ctx, t, c, &messages.RetryOrder{})
		if view, err := c.Wait(ctx, "o-1"); err != nil || view.Status != "completed" {
			t.Errorf("after the retry: %+v, %v", view, err)
		}
	})
}

// An order that comes to a node without its function parks there at no cost, and goes on at one that has it.
func TestOrderWaitsForANodeWithItsFunction(t *testing.T) {
	s := newSite(t)
	able := engine.Config{
		Node: "able",
		Plan: &messages.Plan{Name: "gift", Version: 1, Steps: []*messages.Step{{Name: "wrap", Do: "func:wrap"}, {Name: "send", Do: "func:send"}}},
		Functions: engine.Functions{
			"wrap": func(context.Context, *messages.StepRequest) (*messages.StepReply, error) {
				return engine.Pending("wrapped", time.Time{})
			},
			"send": func(context.Context, *messages.StepRequest) (*messages.StepReply, error) { return engine.Done(nil) },
		},
	}
	s.carry(able, func(ctx context.Context, c *client.Client) {
		publish(ctx, t, c, gift("o-1", "c-7"))
		status(ctx, t, c, "parked")
	})
	s.carry(engine.Config{Node: "unable"}, func(ctx context.Context, c *client.Client) {
		publish(ctx, t, c, &messages.SignalOrder{Name: "wrapped"})
		until(t, "the order parks again", func() bool {
			view, err := c.Order(ctx, "o-1")
			return err == nil && strings.Contains(view.WaitsFor, "has no function send")
		})
	})
	s.carry(able, func(ctx context.Context, c *client.Client) {
		publish(ctx, t, c, &messages.RetryOrder{}) // the timer would do, in half a minute
		view, err := c.Wait(ctx, "o-1")
		if err != nil || view.Status != "completed" || strings.Contains(kinds(view), "step_failed") {
			t.Errorf("got %+v, %v: want it completed without a failed attempt", view, err)
		}
	})
}
