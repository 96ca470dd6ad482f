package supervision

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/backoff"
	"github.com/orderly-engine/orderly/messages/delivery"
)

func TestRules(t *testing.T) {
	cfg := Config{
		Backoff:         backoff.Exponential{Initial: time.Second, Max: 10 * time.Second},
		Rand:            func() float64 { return 0.5 },
		OrderBudget:     Budget{Count: 1},
		SubsystemBudget: Budget{Count: 1},
		OutageLimit:     time.Nanosecond,
		GiveUpDelay:     time.Hour,
	}.withDefaults()
	for _, c := range []struct {
		name           string
		kind           messages.FailureKind
		givingUp       bool
		within, beyond directive
		escalates      bool
		second         messages.OrderID // the order that fails beyond the budget, after o-1
		third          time.Duration
	}{
		{"infrastructure", messages.Infrastructure, false, restart, restart, true, "o-2", 2 * time.Second},
		{"infrastructure while giving up", messages.Infrastructure, true, restart, restart, true, "o-2", 2 * time.Second},
		{"defect", messages.Defect, false, restart, giveUp, false, "o-1", 2 * time.Second},
		{"defect while giving up", messages.Defect, true, redeliver, redeliver, false, "o-2", time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rule := newLevels(cfg, newOutageLimit(cfg)).shardSupervisor.rules[classify(&delivery.Failure{Kind: c.kind}, c.givingUp)]
				order := newChild("o-1")
				if got, err := rule.apply(order, errTest); got != c.within || err != nil {
					t.Errorf("within the budget: %d, %v, want %d", got, err, c.within)
				}
				if c.second != order.id {
					order = newChild(c.second)
				}
				time.Sleep(2 * cfg.OutageLimit)
				if got, err := rule.apply(order, errTest); got != c.beyond || (err != nil) != c.escalates {
					t.Errorf("beyond the budget: %d, %v, want %d, escalation: %v", got, err, c.beyond, c.escalates)
				}
				if got := rule.delay(3); got != c.third {
					t.Errorf("third delay is %s, want %s", got, c.third)
				}
			})
		})
	}
}
