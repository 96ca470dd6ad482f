package order_test

import (
	"strings"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/actors/order"
)

// deliverSignal delivers a signal of that name and data to an order.
func (w *waiter) deliverSignal(name, data string, seq uint64) order.Decision {
	d := signal(name, seq)
	d.Signal.Data = data
	decision := order.Receive(w.state, d, order.Env{Now: w.now, Predecessors: order.PredecessorsNone})
	if decision.Action != order.DeadLetter {
		w.must(decision.Events...)
	}
	return decision
}

func TestKeptSignalsAreBounded(t *testing.T) {
	for name, c := range map[string]struct {
		data string
		most int
	}{
		"by number": {"", order.MaxKept},
		"by bytes":  {strings.Repeat("1", order.MaxKeptBytes/10), 9},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWaiter(t)
			w.callPending(time.Time{})
			for i := range c.most {
				if d := w.deliverSignal("other", c.data, uint64(i+2)); d.Rule != "R3.8" {
					t.Fatalf("signal %d: %s", i, d.Rule)
				}
			}
			d := w.deliverSignal("other", c.data, uint64(c.most+2))
			if d.Rule != "R3.8 excess" || !strings.Contains(d.Reason, "at most 256") || !strings.Contains(d.Reason, "at most 524288 bytes") {
				t.Fatalf("one more: %s, %s", d.Rule, d.Reason)
			}
			if n := len(w.state.Signals); n != c.most {
				t.Errorf("%d signals are kept", n)
			}
			if d := w.deliverSignal("paid", c.data, uint64(c.most+3)); d.Rule != "R3.7" {
				t.Errorf("the signal that the order waits for: %s", d.Rule)
			}
			if w.state.Kept != c.most {
				t.Errorf("%d signals count as kept", w.state.Kept)
			}
		})
	}
}

// TestUsedSignalsCountAsKept: a reader must never see room where another one saw none.
func TestUsedSignalsCountAsKept(t *testing.T) {
	w := newWaiter(t)
	w.deliverSignal("paid", "1", 2)
	w.deliverSignal("other", "", 3)
	if c := w.state.Checkpoint(1); c.GetKept() != 2 || c.GetKeptBytes() != uint32(len("paid")+1+len("other")) {
		t.Errorf("the checkpoint has %d signals with %d bytes", c.GetKept(), c.GetKeptBytes())
	}
	w.must(w.finish(pendingReply("paid", time.Time{}))...)
	if len(w.state.Signals) != 1 || w.state.Kept != 2 {
		t.Errorf("after its use: %d signals, %d count as kept", len(w.state.Signals), w.state.Kept)
	}
}
