package supervision

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// health is the subsystem's budget, shared by all supervisors. It escalates at most once.
type health struct {
	budget      Budget
	outageLimit time.Duration
	// outageGap is the silence that ends a run of infrastructure failures: longer than any restart delay.
	outageGap time.Duration
	escalated func(error)
	log       *slog.Logger
	meters    *instrumentation

	// failing is whether an outage is running, so that a delivery done costs a load and no lock.
	failing atomic.Bool

	mu     sync.Mutex
	outage outage
	losses roll
	crashN uint64
	over   bool
}

func newHealth(cfg Config, meters *instrumentation) *health {
	return &health{
		budget:      cfg.SubsystemBudget,
		outageLimit: cfg.OutageLimit,
		outageGap:   max(cfg.OutageLimit, 2*cfg.Backoff.Max),
		escalated:   cfg.OnEscalation,
		log:         cfg.Logger,
		meters:      meters,
	}
}

// done ends an outage.
func (h *health) done() {
	if h.failing.Load() {
		h.recovered()
	}
}

func (h *health) recovered() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failing.Swap(false) {
		h.outage.over()
		h.log.Info("infrastructure is back")
	}
}

func (h *health) infrastructureFailed(f *delivery.Failure) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.failing.Swap(true) {
		h.log.Warn("infrastructure fails, orders are restarted with backoff", keyError, f.Err)
	}
	if lasted := h.outage.failed(time.Now(), h.outageGap); h.outageLimit > 0 && lasted > h.outageLimit {
		h.escalate(fmt.Errorf("infrastructure has failed for %s with no delivery done: %w", lasted, f))
	}
}

// giveUpFailed counts an order that could not even be brought to attention.
func (h *health) giveUpFailed(id messages.OrderID, f *delivery.Failure) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lost(string(id), fmt.Errorf("too many orders fail even when they are given up, the last is %s: %w", id, f))
}

// crashed counts a crash of an order supervisor.
func (h *health) crashed(reason any) {
	h.meters.crashes.Add(context.Background(), 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.crashN++
	// The space keeps the name apart from every order id.
	h.lost("crash "+strconv.FormatUint(h.crashN, 10), fmt.Errorf("order supervisors crash too often, the last time: %v", reason))
}

// broken escalates what no restart can mend.
func (h *health) broken(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.escalate(err)
}

func (h *health) lost(name string, err error) {
	if !h.over && !h.losses.spend(h.budget, name, time.Now()) {
		h.escalate(err)
	}
}

func (h *health) escalate(err error) {
	if h.over {
		return
	}
	h.over = true
	h.meters.escalations.Add(context.Background(), 1)
	h.log.Error("order subsystem escalates", keyError, err)
	h.escalated(err)
}
