package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/engine"
)

// register makes an engine with the plan and closes it.
func (s *server) register(p engine.Plan) error {
	s.t.Helper()
	e, err := engine.New(s.t.Context(), s.Connect(), p, engine.Config{})
	if err == nil {
		e.Close()
	}
	return err
}

func builtin() engine.Plan { return engine.PlanFromProto(plan.Builtin()) }

func TestChangedPlanStopsTheStart(t *testing.T) {
	s := newServer(t)
	for range 2 {
		if err := s.register(builtin()); err != nil {
			t.Fatal(err)
		}
	}
	p := builtin()
	p.Steps[1].Timeout = 3 * time.Second
	err := s.register(p)
	if !errors.Is(err, engine.ErrPlanChanged) || !strings.Contains(err.Error(), "plan order v1 is registered with other content (step authorize_payment: timeout: 2s → 3s)") {
		t.Errorf("New returned %v, want %v, and what changed", err, engine.ErrPlanChanged)
	}
	p.Version = 2
	for _, good := range []engine.Plan{p, builtin(), sim("sim:")} {
		if err := s.register(good); err != nil {
			t.Error(err)
		}
	}
	if err := s.register(sim("sim:?latency=1ms")); !errors.Is(err, engine.ErrPlanChanged) {
		t.Errorf("another simulation under the same name: %v, want %v", err, engine.ErrPlanChanged)
	}
}

// Of six programs that register one name and version at once, with two contents, those of one content start.
func TestRacingProgramsAgreeOnAPlan(t *testing.T) {
	s := newServer(t)
	for version := 1; version <= 5; version++ {
		errs := make([]error, 6)
		var wg sync.WaitGroup
		for i := range errs {
			p := builtin()
			p.Version, p.Steps[0].Do = version, engine.URL(fmt.Sprintf("nats://inventory-%d.reserve", i%2))
			wg.Go(func() { errs[i] = s.register(p) })
		}
		wg.Wait()
		var started [2]int
		for i, err := range errs {
			switch {
			case err == nil:
				started[i%2]++
			case !errors.Is(err, engine.ErrPlanChanged):
				t.Error(err)
			}
		}
		if started != [2]int{3, 0} && started != [2]int{0, 3} {
			t.Errorf("version %d: %v programs started with each content, want all of one", version, started)
		}
	}
}

func TestPlanFromProtoLosesNothing(t *testing.T) {
	odd := plan.Builtin()
	odd.Steps[0].Limits, odd.Steps[0].InDoubt = &messages.Limits{Rate: 2.5}, messages.InDoubt_IN_DOUBT_UNDO
	odd.Steps[1].Limits.Rate, odd.Steps[3].Limits.Rate = 0.5, 0.5
	odd.Steps[2].Retry, odd.Steps[2].Encoding = &messages.Retry{Attempts: 3}, messages.Encoding_ENCODING_PROTOBUF
	odd.Steps[3].Timeout = durationpb.New(3 * time.Second)
	odd.Steps[1].Reply = &messages.Reading{DoneWhen: "body.a", PendingWhen: "body.b", Data: "body.c"}
	odd.Steps[1].UndoReply = &messages.Reading{RejectedWhen: "body.d", RetryWhen: "body.e", Code: "body.f", Reason: "body.g"}
	odd.Steps[1].NothingToUndo = []string{"gone", "404"}
	for _, want := range []*messages.Plan{plan.Builtin(), plan.Sim("sim:?latency=1ms"), plan.WithDefaults(odd)} {
		got, _, err := engine.PlanFromProto(want).Build(nil)
		if err != nil || !proto.Equal(got, want) {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	}
}

func TestPlanFileKeepsItsFunctions(t *testing.T) {
	p, err := engine.ParsePlan([]byte("name: gift\nversion: 2\nsteps:\n  - {name: wrap, do: 'func:wrap', limits: {rate: 3}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Build(engine.Functions{"wrap": nothing}); err != nil || p.Version != 2 || p.Step("wrap").Limits.Rate != 3 {
		t.Errorf("got %+v, %v", p, err)
	}
	_, err = engine.ParsePlan([]byte("name: gift\nversion: 2\nsteps:\n  - name: wrap\n    do: ftp://x\n"))
	if !errors.Is(err, engine.ErrInvalidPlan) || !strings.Contains(err.Error(), "line 5: step wrap: do") {
		t.Errorf("got %v, want %v and the line", err, engine.ErrInvalidPlan)
	}
}

func TestInvalidPlanStopsTheStart(t *testing.T) {
	_, err := engine.New(t.Context(), newServer(t).Connect(), engine.Plan{Name: "gift", Version: 1}, engine.Config{})
	if !errors.Is(err, engine.ErrInvalidPlan) {
		t.Errorf("New returned %v, want %v", err, engine.ErrInvalidPlan)
	}
}

func TestBuildNamesTheMistake(t *testing.T) {
	do := engine.Function(nothing)
	reads := func(_ context.Context, _ *engine.Call, in struct{ Wrap, Paint string }) (string, error) {
		return in.Wrap, nil
	}
	for want, steps := range map[string][]engine.Step{
		"there are 0":   {},
		"do is missing": {{Name: "wrap"}},
		"step wrap: do: target has an unknown scheme": {{Name: "wrap", Do: engine.URL("ftp://x")}},
		"function is nil":             {{Name: "wrap", Do: engine.Function(nil)}},
		"input int is not a struct":   {{Name: "wrap", Do: engine.Typed(func(context.Context, *engine.Call, int) (int, error) { return 0, nil })}},
		"function old is given twice": {{Name: "old", Do: do}},
		"attempts -1":                 {{Name: "wrap", Do: do, Retry: engine.Retry{Attempts: -1}}},
		"timeout is -1s":              {{Name: "wrap", Do: do, Timeout: -time.Second}},
		"step wrap: reply.done_when: there is no variable":                                  {{Name: "wrap", Do: do, Reply: engine.Reading{DoneWhen: "x"}}},
		"step wrap: undo_reply: the step has no undo":                                       {{Name: "wrap", Do: do, UndoReply: engine.Reading{DoneWhen: "true"}}},
		"step wrap: nothing_to_undo: the step has no undo":                                  {{Name: "wrap", Do: do, NothingToUndo: []string{"gone"}}},
		"in_doubt is undo, but":                                                             {{Name: "wrap", Do: do, UndoInDoubt: true}},
		`"wrap" is the name of step`:                                                        {{Name: "wrap", Do: do}, {Name: "wrap", Do: engine.URL("sim:")}},
		"step wrap: undo: target func:unwrap names no function of this program: it has old": {{Name: "wrap", Do: engine.URL("sim:"), Undo: engine.URL("func:unwrap")}},
		"step send: undo: input field Wrap wants the result of step wrap: the call gets those of send": {
			{Name: "wrap", Do: do}, {Name: "send", Do: do, Undo: engine.Typed(reads)},
		},
		"step send: input field Paint wants the result of step paint: the call gets those of wrap": {{Name: "wrap", Do: do}, {Name: "send", Do: engine.Typed(reads)}},
	} {
		_, _, err := engine.Plan{Name: "gift", Version: 1, Steps: steps}.Build(engine.Functions{"old": nothing})
		if !errors.Is(err, engine.ErrInvalidPlan) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %v with %q", err, engine.ErrInvalidPlan, want)
		}
	}
}

func TestUndoReadsTheResultOfItsStep(t *testing.T) {
	undo := func(_ context.Context, _ *engine.Call, in struct{ Wrap string }) (string, error) { return in.Wrap, nil }
	p := engine.Plan{Name: "gift", Version: 1, Steps: []engine.Step{{Name: "wrap", Do: engine.Function(nothing), Undo: engine.Typed(undo)}}}
	if _, _, err := p.Build(nil); err != nil {
		t.Error(err)
	}
}

// TestLoadPlan: the example plan file is read, and a file that does not exist is not an invalid plan.
func TestLoadPlan(t *testing.T) {
	p, err := engine.LoadPlan("../../deploy/examples/plan.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Steps) != 2 || p.Step("reserve_stock").Do != engine.URL("http://127.0.0.1:8091/reserve") {
		t.Errorf("got %+v", p)
	}
	if _, err := engine.LoadPlan("missing.yaml"); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, engine.ErrInvalidPlan) {
		t.Errorf("got %v, want that the file does not exist", err)
	}
}
