package order_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
)

// waiter is an order whose step answers pending repeatedly.
type waiter struct {
	*history
	t   *testing.T
	now time.Time
	// wakes counts the timers that fired.
	wakes uint64
}

func newWaiter(t *testing.T) *waiter {
	w := &waiter{history: newHistory(), t: t, now: epoch}
	w.must(order.Receive(w.state, created(1, "a"), order.Env{Plan: planOf(step("pay", true), step("ship", false))}).Events...)
	return w
}

func (w *waiter) must(events ...*messages.Event) {
	w.t.Helper()
	if err := w.append(w.now, events...); err != nil {
		w.t.Fatal(err)
	}
}

// finish is what the reply to the next call leads to.
func (w *waiter) finish(reply *messages.StepReply) []*messages.Event {
	events := w.state.HandleReply(order.CallResult{Call: w.state.Next().Call, Reply: reply}, order.Env{Now: w.now})
	return events
}

// callPending makes the call, which answers pending with that deadline (zero: none), and returns for how long the order is
// parked.
func (w *waiter) callPending(deadline time.Time) time.Duration {
	w.t.Helper()
	w.must(w.finish(pendingReply("paid", deadline))...)
	if w.state.ParkedFor() != order.ParkPending {
		w.t.Fatalf("parked for %q", w.state.ParkedFor())
	}
	return w.state.ParkedUntil.Sub(w.now)
}

// wake fires the timer of the park.
func (w *waiter) wake() {
	w.t.Helper()
	w.now = w.state.ParkedUntil
	w.wakes++
	d := newDelivery(messages.TypeWake, w.wakes, "w")
	d.Park = w.state.Park
	w.must(order.Receive(w.state, d, order.Env{Now: w.now}).Events...)
}

// TestPendingForEver: a step whose deadlines are always over, or a second ahead, is called again after an eighth of the time
// it has been pending, at most an hour, whether the state comes from all entries, some of them, or a snapshot.
func TestPendingForEver(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"over": -time.Hour, "a second ahead": time.Second} {
		w := newWaiter(t)
		calls, before := 1, time.Duration(0)
		for pause := w.callPending(w.now.Add(ahead)); w.now.Sub(epoch) < 24*time.Hour; pause = w.callPending(w.now.Add(ahead)) {
			if waited := w.now.Sub(epoch); pause < before || pause != min(max(waited/8, time.Second), time.Hour) {
				t.Fatalf("%s: pending for %s, called again after %s, before that after %s", name, waited, pause, before)
			}
			before = pause
			if calls == 12 {
				w.checkRestore(t)
				w.checkSnapshots(t)
			}
			if w.state = order.FromSnapshot(id, w.state.Plan, snapshot(t, w.state)); w.state == nil {
				t.Fatal("no snapshot")
			}
			w.wake()
			calls++
		}
		if calls > 110 {
			t.Errorf("%s: called %d times in a day", name, calls)
		}
		w.must(order.Receive(w.state, signal("paid", w.wakes+2), order.Env{Now: w.now, Predecessors: order.PredecessorsNone}).Events...)
		if move := w.state.Next(); write(move.Events) == "" || move.Events[0].GetStepCompleted().GetSignal() != "paid" {
			t.Errorf("%s: the signal does not complete the step at once: %v", name, move)
		}
	}
}

// signal is one of that name.
func signal(name string, seq uint64) *delivery.Delivery {
	d := newDelivery(messages.TypeSignal, seq, "s")
	d.Signal.Name = name
	return d
}

// TestPendingDeadlineIsKept: a deadline that is far enough ahead is used as it is, and DefaultPending if there is none.
func TestPendingDeadlineIsKept(t *testing.T) {
	w := newWaiter(t)
	for i, want := range []time.Duration{10 * time.Second, 10 * time.Second, 8 * time.Hour, time.Hour + time.Nanosecond, 30 * 24 * time.Hour} {
		if got := w.callPending(w.now.Add(want)); got != want {
			t.Errorf("deadline %d: parked for %s, want %s", i, got, want)
		}
		w.wake()
	}
	if got := w.callPending(time.Time{}); got != order.DefaultPending {
		t.Errorf("without a deadline: parked for %s", got)
	}
	if got, want := w.state.Pending.GetSince().AsTime(), epoch; !got.Equal(want) {
		t.Errorf("pending since %s, want %s", got, want)
	}
}

// TestPendingOfAnotherStep: the wait of the next step that is pending starts anew.
func TestPendingOfAnotherStep(t *testing.T) {
	w := newWaiter(t)
	w.callPending(w.now.Add(8 * time.Hour))
	w.wake()
	w.must(w.finish(doneReply())...)
	if got := w.callPending(w.now); got != time.Second {
		t.Errorf("parked for %s", got)
	}
}

// TestPendingOfOldHistories: an entry of a version that did not say since when is folded as it is, and counts from the next
// answer on; a clock behind the one of another node shortens nothing.
func TestPendingOfOldHistories(t *testing.T) {
	w := newWaiter(t)
	w.callPending(w.now.Add(8 * time.Hour))
	old := w.entries[len(w.entries)-1]
	w.entries[len(w.entries)-1] = proto.CloneOf(old)
	w.entries[len(w.entries)-1].Events[0].GetStepPending().Since = nil
	w.state = w.fold(t, len(w.entries))
	w.wake()
	if got := w.callPending(w.now); got != time.Second || !w.state.Pending.GetSince().AsTime().Equal(w.now) {
		t.Errorf("parked for %s, pending since %s", got, w.state.Pending.GetSince().AsTime())
	}
	w.wake()
	w.now = epoch
	if got := w.callPending(w.now); got != time.Second {
		t.Errorf("by a clock that is behind: parked for %s", got)
	}
}
