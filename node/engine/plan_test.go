package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/engine"
)

// begin makes an engine with the plan and closes it again.
func (s *site) begin(p *messages.Plan) error {
	s.t.Helper()
	e, err := engine.New(s.t.Context(), s.connect(), engine.Config{Node: "n-1", Plan: p})
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
	p := &messages.Plan{Name: "gift", Version: 1, Steps: []*messages.Step{{Name: "wrap", Do: "func:wrap", Undo: "func:unwrap"}}}
	_, err := engine.New(t.Context(), s.connect(), engine.Config{Node: "n-1", Plan: p, Functions: engine.Functions{
		"wrap": func(context.Context, *messages.StepRequest) (*messages.StepReply, error) { return engine.Done(nil) },
	}})
	if !errors.Is(err, plan.ErrInvalid) || !strings.Contains(err.Error(), "step wrap: undo: target func:unwrap names no function of this program: it has wrap") {
		t.Errorf("New returned %v, want %v, and the step, the field and the function", err, plan.ErrInvalid)
	}
}
