package crash_test

import (
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/orderly-engine/orderly/messages/failpoint"
	"github.com/orderly-engine/orderly/node/audit/replay"
	"github.com/orderly-engine/orderly/node/demo"
)

// maxRestarts is after how many kills the operator must have decided about every order.
const maxRestarts = 40

// Orders get into attention while nodes die, and stay there; then an operator decides about each, while nodes die.
func TestCrashAttention(t *testing.T) {
	t.Parallel()
	seed := newSeed(t)
	w := newTestEnv(t, seed, relaxed, shortAckWait, shortHold)
	w.load.signals = true
	w.load.limit = rate.NewLimiter(250/raceFactor, 50)
	w.writePlan(longTimeout, 1)
	p := w.startAll(demo.Behavior{Latency: 5 * time.Millisecond, Fail: 0.12, Reject: 0.01, Pending: 0.15, Finish: 200 * time.Millisecond})
	w.kill(p)
	w.dieAt(failpoint.BeforeAttention, 1, 0, doublingPace(portion))
	w.dieAt(failpoint.BeforeAttention, 3, linger, doublingPace(portion))
	p = w.startNode()
	orders, _ := size(t, 10, 300)
	w.load.add(orders)
	for kills := 0; !w.load.done() || kills < minKills/2; kills++ {
		p = w.restart(p)
	}
	p.ready()
	w.quiesce()
	before := w.checkAttention()

	w.operate(seed)
	for kills := 0; kills < minKills || kills < maxRestarts && !w.operator.idle(); kills++ {
		p = w.restart(p)
	}
	p.ready()
	w.finish()
	t.Logf("%d orders were in attention; %s", before, w.operator)
	for _, decision := range decisions {
		if w.operator.sent[decision] == 0 {
			t.Errorf("the operator never sent %s", decision)
		}
	}
}

// checkAttention counts the orders in attention. Every other order must have ended; the audit and the index must agree.
func (w *testEnv) checkAttention() (n int) {
	w.Helper()
	j, f := w.readJournal(), &failures{w: w}
	for _, v := range j.violations {
		f.add("%s", v)
	}
	for id, h := range j.orders {
		switch {
		case h.Status() == replay.Attention:
			n++
		case !h.Status().Ended():
			f.add("order %s is %s, and no stored message drives it%s", id, h.Status(), h)
		}
	}
	if n == 0 {
		f.add("no order is in attention")
	}
	if report := w.readAudit(f); int(report.Orders.Attention) != n {
		f.add("%d orders are in attention, and the audit counts %d", n, report.Orders.Attention)
	}
	w.checkIndex(f, j)
	return n
}
