package crash_test

import (
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages/failpoint"
	"github.com/orderly-engine/orderly/node/audit"
	"github.com/orderly-engine/orderly/node/demo"
)

// enough kills are those after which an order that still waits for somebody waits in vain.
const enough = 40

// Orders come to rest in attention while nodes die, and rest there; then somebody decides about each, while nodes die.
func TestCrashAttention(t *testing.T) {
	t.Parallel()
	s := seed(t)
	w := newWorld(t, s, "ORDERLY_DURABILITY=relaxed", impatient, parking)
	w.load.signals = true
	w.load.limit = rate.NewLimiter(250/heavy, 50)
	// The first attempt is the last one.
	w.plan(patientCall, 1)
	p := w.open(demo.Behavior{Latency: 5 * time.Millisecond, Fail: 0.12, Reject: 0.01, Pending: 0.15, Finish: 200 * time.Millisecond})
	w.kill(p)
	w.dieAt(failpoint.BeforeAttention, 1, 0, growing(portion))
	w.dieAt(failpoint.BeforeAttention, 3, linger, growing(portion))
	p = w.start()
	w.load.add(size(t, 10, scale{orders: 500}).orders)
	for kills := 0; !w.load.done() || kills < usualKills/2; kills++ {
		p = w.again(p)
	}
	p.mustBeReady()
	w.quiesce()
	resting := w.rested()

	w.decide(s)
	for kills := 0; kills < usualKills || kills < enough && !w.person.idle(); kills++ {
		p = w.again(p)
	}
	p.mustBeReady()
	w.finish()
	t.Logf("%d orders came to rest in attention before; %s", resting, w.person)
	for _, what := range rulings {
		if w.person.sent[what] == 0 {
			t.Errorf("nobody said %s", what)
		}
	}
}

// again lets the node carry orders for a moment, kills it, and starts another one.
func (w *world) again(p *process) *process {
	w.Helper()
	p.mustBeReady()
	w.pause(100*time.Millisecond, 900*time.Millisecond)
	w.kill(p)
	return w.start()
}

// rested counts the orders that rest in attention, and wants nothing else of the rest: every order has ended or rests
// there, the ledger balances, and the list tells as much.
func (w *world) rested() (n int) {
	w.Helper()
	j, x := w.readJournal(), &wrongs{w: w}
	for _, wrong := range j.wrong {
		x.add("%s", wrong)
	}
	for id, h := range j.orders {
		switch {
		case h.state.Status == order.Attention:
			n++
		case !h.state.Status.Terminal():
			x.add("order %s is %s, and nothing is stored that carries it%s", id, h.state.Status, h.story())
		}
	}
	if n == 0 {
		x.add("no order rests in attention")
	}
	report, err := audit.Read(w.Context(), w.js)
	switch {
	case err != nil:
		w.Fatal(err)
	case !report.Balanced():
		x.add("the audit does not balance: %d violations, the first: %+v", report.ViolationCount, report.Violations[:min(len(report.Violations), 3)])
	case int(report.Orders.Attention) != n:
		x.add("%d orders rest in attention, and the ledger has %d", n, report.Orders.Attention)
	}
	w.proveIndex(x, j)
	return n
}
