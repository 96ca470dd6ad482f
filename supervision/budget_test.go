package supervision

import (
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

var errTest = errors.New("boom")

func TestOrderBudgetForgetsOldFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := orderBudget{Count: 2, Within: time.Minute}
		c := newChild("o-1")
		start := time.Now()
		for _, step := range []struct {
			at   time.Duration
			want bool
		}{
			{0, true}, {10 * time.Second, true}, {20 * time.Second, false}, {30 * time.Second, false},
			{81 * time.Second, true}, {91 * time.Second, true}, {92 * time.Second, false},
		} {
			time.Sleep(time.Until(start.Add(step.at)))
			if err := b.spend(c, errTest); (err == nil) != step.want {
				t.Fatalf("failure at %s: %v, want within the budget: %v", step.at, err, step.want)
			}
		}
		if err := b.spend(newChild("o-2"), errTest); err != nil {
			t.Errorf("another order: %v", err)
		}
		c.resetFailures()
		if err := b.spend(c, errTest); err != nil {
			t.Errorf("after a delivery was done: %v", err)
		}
	})
}

func TestSubsystemBudgetCountsCrashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSubsystemBudget(Budget{Count: 3, Within: time.Minute})
		for range 2 {
			for range 3 {
				if err := b.spend(nil, errTest); err != nil {
					t.Fatalf("three crashes: %v", err)
				}
			}
			if err := b.spend(nil, errTest); !errors.Is(err, errTest) {
				t.Fatalf("four crashes: %v, want an error that wraps the last", err)
			}
			time.Sleep(time.Minute)
		}
	})
}

func TestOutageEndsWithADeliveryDoneOrAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newOutageLimit(Config{OutageLimit: time.Minute, Logger: slog.New(slog.DiscardHandler)})
		start := time.Now()
		for _, step := range []struct {
			at   time.Duration
			end  bool
			want bool
		}{
			{at: 0, want: true}, {at: 50 * time.Second, want: true}, {at: 61 * time.Second, want: false},
			{at: 122 * time.Second, want: true}, {at: 180 * time.Second, want: true}, {at: 183 * time.Second, want: false},
			{at: 184 * time.Second, end: true, want: true}, {at: 240 * time.Second, want: true}, {at: 245 * time.Second, want: false},
		} {
			time.Sleep(time.Until(start.Add(step.at)))
			if step.end {
				l.end()
			}
			if err := l.spend(nil, errTest); (err == nil) != step.want {
				t.Fatalf("failure at %s: %v, want within the limit: %v", step.at, err, step.want)
			}
		}
	})
}
