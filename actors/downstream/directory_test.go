package downstream_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderly-engine/orderly/actors/directory"
	"github.com/orderly-engine/orderly/actors/downstream"
	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
)

// guardOf returns a Guard with a file of downstreams.
func guardOf(t *testing.T, s downstream.Steps, p *messages.Plan, file string) *downstream.Guard {
	t.Helper()
	d, err := directory.Parse([]byte(file), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	g, err := downstream.New(s, p, d, downstream.Config{Rand: newRand()})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func callOf(order, target string) *gateway.Call {
	c := call(order, nil, messages.Do)
	c.Step = &messages.Step{Name: "take", Do: target}
	return c
}

// The addresses that a downstream had before share its circuit, under its name.
func TestMovedTargetsShareCircuit(t *testing.T) {
	s := &fakeService{err: errUnreachable}
	g := guardOf(t, s, nil, "payments: {url: 'https://pay.example/v2', moved_from: ['http://old.example', 'nats://legacy.pay']}")
	defer g.Close()
	targets := []string{"payments/capture", "https://pay.example/v2/capture", "http://old.example/capture", "nats://legacy.pay.capture"}
	for i := range 5 {
		if r := callAndWait(t, g, callOf(fmt.Sprintf("o-%d", i), targets[i%len(targets)])); !failed(r) {
			t.Fatalf("call %d: %+v", i, r)
		}
	}
	for _, target := range targets {
		if r := callAndWait(t, g, callOf("o-6", target)); !deferred(r) || !strings.HasPrefix(r.deferral().Reason, "payments is unavailable") {
			t.Errorf("%s: %+v, want a deferral because payments is unavailable", target, r)
		}
	}
	if r := callAndWait(t, g, callOf("o-6", "https://other.example/capture")); !failed(r) {
		t.Errorf("another service: %+v, want a call", r)
	}
}

// The limits of the file hold, else those of the node's plan, also for the other addresses of the downstream.
func TestLimitsOfFileWin(t *testing.T) {
	const entry = "goods: {nats: shop.goods, moved_from: ['nats://stock']"
	for file, want := range map[string]int{entry + ", limits: {concurrency: 3}}": 3, entry + "}": 2} {
		synctest.Test(t, func(t *testing.T) {
			s := &fakeService{latency: time.Second}
			g := guardOf(t, s, planOf(&messages.Limits{Concurrency: 2}), file)
			defer g.Close()
			var r results
			for range 5 {
				g.Do(callOf("o-1", "goods/take"), r.add)
				g.Do(callOf("o-1", "nats://stock.take"), r.add)
			}
			synctest.Wait()
			if _, under, _ := s.counts(); under != want {
				t.Errorf("%s: %d calls at once, want %d", file, under, want)
			}
			time.Sleep(time.Minute)
		})
	}
}

// A downstream has the limits of the step that calls it in do, under any of its addresses.
func TestLimitsOfPlanAreByDownstream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeService{latency: time.Second}
		g := guardOf(t, s, &messages.Plan{Steps: []*messages.Step{
			{Name: "a", Do: "nats://one.do", Undo: "goods/give", Limits: &messages.Limits{Concurrency: 2}},
			{Name: "b", Do: "nats://stock.take", Limits: &messages.Limits{Concurrency: 7}},
		}}, "goods: {nats: shop.goods, moved_from: ['nats://stock']}")
		defer g.Close()
		var r results
		for range 10 {
			g.Do(callOf("o-1", "goods/take"), r.add)
		}
		synctest.Wait()
		if _, under, _ := s.counts(); under != 7 {
			t.Errorf("%d calls at once, want 7", under)
		}
		time.Sleep(time.Minute)
	})
}

// Each field of circuit replaces its default. Two calls per second are made, every second one fails.
func TestCircuitOfFile(t *testing.T) {
	for settings, want := range map[string]int{ // calls until it opens; 0: never
		"min_calls: 10":             10,
		"min_calls: 60":             0,
		"min_calls: 60, window: 1m": 60,
		"min_calls: 60, window: 1m, failure_rate: 0.6": 0,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &fakeService{}
			g := guardOf(t, s, nil, "stock: {nats: stock, circuit: {"+settings+"}}")
			defer g.Close()
			opened := 0
			for i := 0; i < 300 && opened == 0; i++ {
				s.setError(errTimeout)
				if i%2 == 1 {
					s.setError(nil)
				}
				if deferred(callAndWait(t, g, callOf(fmt.Sprintf("o-%d", i), "nats://stock.take"))) {
					opened = i
				}
				time.Sleep(500 * time.Millisecond)
			}
			if opened != want {
				t.Errorf("%s: opened after %d calls, want %d (0: never)", settings, opened, want)
			}
		})
	}
}
