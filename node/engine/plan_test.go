package engine_test

import (
	"context"
	"errors"
	"fmt"
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

// begin makes an engine with the plan and closes it again.
func (s *site) begin(p *messages.Plan) error {
	s.t.Helper()
	e, err := engine.New(s.t.Context(), s.connect(), engine.PlanFromProto(p), engine.Config{})
	if err == nil {
		e.Close()
	}
	return err
}

func TestChangedPlanStopsTheStart(t *testing.T) {
	s := newSite(t)
	for range 2 {
		if err := s.begin(plan.Builtin()); err != nil {
			t.Fatal(err)
		}
	}
	p := plan.Builtin()
	p.Steps[1].Timeout = durationpb.New(3 * time.Second)
	err := s.begin(p)
	if !errors.Is(err, plan.ErrChanged) || !strings.Contains(err.Error(), "plan order v1 is registered with other content (step authorize_payment: timeout: 2s → 3s)") {
		t.Errorf("New returned %v, want %v, and what changed", err, plan.ErrChanged)
	}
	p.Version = 2
	for _, good := range []*messages.Plan{p, plan.Builtin(), plan.Sim("sim:")} {
		if err := s.begin(good); err != nil {
			t.Error(err)
		}
	}
	if err := s.begin(plan.Sim("sim:?latency=1ms")); !errors.Is(err, plan.ErrChanged) {
		t.Errorf("another simulation under the same name: %v", err)
	}
}

// Of nodes that start at once with different content under one name and version, those of one content start.
func TestNodesThatRaceAgreeOnAPlan(t *testing.T) {
	s := newSite(t)
	for version := uint32(1); version <= 5; version++ {
		errs := make([]error, 6)
		var wg sync.WaitGroup
		for i := range errs {
			p := plan.Builtin()
			p.Version, p.Steps[0].Do = version, fmt.Sprintf("nats://inventory-%d.reserve", i%2)
			wg.Go(func() { errs[i] = s.begin(p) })
		}
		wg.Wait()
		var started [2]int
		for i, err := range errs {
			switch {
			case err == nil:
				started[i%2]++
			case !errors.Is(err, plan.ErrChanged):
				t.Error(err)
			}
		}
		if started != [2]int{3, 0} && started != [2]int{0, 3} {
			t.Errorf("version %d: %v nodes started with each content, want all of one", version, started)
		}
	}
}

func TestMissingFunctionStopsTheStart(t *testing.T) {
	s := newSite(t)
	p := engine.Plan{Name: "gift", Version: 1, Steps: []engine.Step{{Name: "wrap", Do: engine.URL("func:wrap"), Undo: engine.URL("func:unwrap")}}}
	_, err := engine.New(t.Context(), s.connect(), p, engine.Config{Functions: engine.Functions{"wrap": nothing}})
	if !errors.Is(err, engine.ErrInvalidPlan) || !strings.Contains(err.Error(), "step wrap: undo: target func:unwrap names no function of this program: it has wrap") {
		t.Errorf("New returned %v, want %v, and the step, the field and the function", err, engine.ErrInvalidPlan)
	}
}

// A plan that became Go values and back is the same.
func TestPlanFromProtoLosesNothing(t *testing.T) {
	odd := plan.Builtin()
	odd.Steps[0].Limits, odd.Steps[0].InDoubt = &messages.Limits{Rate: 2.5}, messages.InDoubt_IN_DOUBT_UNDO
	odd.Steps[1].Limits.Rate, odd.Steps[3].Limits.Rate = 0.5, 0.5
	odd.Steps[2].Retry, odd.Steps[2].Encoding = &messages.Retry{Attempts: 3}, messages.Encoding_ENCODING_PROTOBUF
	odd.Steps[3].Timeout = durationpb.New(3 * time.Second)
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
	if _, err := engine.ParsePlan([]byte("name: gift\nversion: 2\nsteps:\n  - name: wrap\n    do: ftp://x\n")); !errors.Is(err, engine.ErrInvalidPlan) || !strings.Contains(err.Error(), "line 5: step wrap: do") {
		t.Errorf("got %v, want %v and the line", err, engine.ErrInvalidPlan)
	}
}

func TestBuildNamesWhatIsWrong(t *testing.T) {
	wants := func(_ context.Context, _ *engine.Call, in struct{ Wrap, Paint string }) (string, error) {
		return in.Wrap, nil
	}
	do := engine.Function(nothing)
	for want, steps := range map[string][]engine.Step{
		"there are 0":     {},
		"do is missing":   {{Name: "wrap"}},
		"function is nil": {{Name: "wrap", Do: engine.Function(nil)}},
		"step send: input field Paint wants the result of step paint: steps before it are wrap": {{Name: "wrap", Do: do}, {Name: "send", Do: engine.Typed(wants)}},
		"input int is no struct":            {{Name: "wrap", Do: engine.Typed(func(context.Context, *engine.Call, int) (int, error) { return 0, nil })}},
		"function old is given twice":       {{Name: "old", Do: do}},
		"attempts -1":                       {{Name: "wrap", Do: do, Retry: engine.Retry{Attempts: -1}}},
		"timeout is -1s":                    {{Name: "wrap", Do: do, Timeout: -time.Second}},
		"in_doubt is undo, but the step":    {{Name: "wrap", Do: do, UndoInDoubt: true}},
		`name "wrap" is the name of step 1`: {{Name: "wrap", Do: do}, {Name: "wrap", Do: engine.URL("sim:")}},
	} {
		_, _, err := engine.Plan{Name: "gift", Version: 1, Steps: steps}.Build(engine.Functions{"old": nothing})
		if !errors.Is(err, engine.ErrInvalidPlan) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %v with %q", err, engine.ErrInvalidPlan, want)
		}
	}
	// An undo reads the result of its own step.
	own := func(_ context.Context, _ *engine.Call, in struct{ Wrap string }) (string, error) { return in.Wrap, nil }
	if _, _, err := (engine.Plan{Name: "gift", Version: 1, Steps: []engine.Step{{Name: "wrap", Do: do, Undo: engine.Typed(own)}}}).Build(nil); err != nil {
		t.Error(err)
	}
}
