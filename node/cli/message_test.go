package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// confirming is a plan whose second step waits for a signal.
const confirming = `
name: confirming
version: 1
steps:
  - {name: prepare, do: nats://confirming.prepare, undo: nats://confirming.unprepare, timeout: 1m}
  - {name: confirm, do: nats://confirming.confirm, undo: nats://confirming.unconfirm, timeout: 1m}
  - {name: ship, do: nats://confirming.ship, undo: nats://confirming.unship, timeout: 1m}
`

// instant is a plan whose steps are done at once.
const instant = `
name: instant
version: 1
steps:
  - {name: reserve, do: "sim:", undo: "sim:"}
  - {name: pay, do: "sim:", undo: "sim:"}
`

// confirmingServices answer the steps of the plan: prepare when the test lets it, confirm by a signal, and ship with the
// results it was handed.
type confirmingServices struct {
	mu   sync.Mutex
	gate map[string]chan struct{}
}

// close lets the order's first step hang until the returned function is called, or the test ends.
func (w *confirmingServices) close(t *testing.T, id string) (open func()) {
	gate := make(chan struct{})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gate[id] = gate
	open = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(open)
	return open
}

func startConfirming(t *testing.T, environ ...string) (*process, *confirmingServices) {
	t.Helper()
	p := withPlan(t, confirming, environ...)
	w := &confirmingServices{gate: map[string]chan struct{}{}}
	var calls sync.WaitGroup
	t.Cleanup(calls.Wait)
	nc := p.connect(t)
	_, err := nc.Subscribe("confirming.*", func(m *nats.Msg) {
		calls.Go(func() {
			if err := m.Respond([]byte(w.answer(m))); err != nil {
				t.Error(err)
			}
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return p, w
}

func (w *confirmingServices) answer(m *nats.Msg) string {
	var request struct {
		OrderID string                     `json:"order_id"`
		Results map[string]json.RawMessage `json:"results"`
	}
	if err := json.Unmarshal(m.Data, &request); err != nil {
		return fmt.Sprintf(`{"rejected": {"code": "unreadable", "reason": %q}}`, err)
	}
	switch m.Subject {
	case "confirming.prepare":
		w.mu.Lock()
		gate := w.gate[request.OrderID]
		w.mu.Unlock()
		if gate != nil {
			<-gate
		}
	case "confirming.confirm":
		return fmt.Sprintf(`{"pending": {"signal": "confirmed", "deadline": %q}}`, time.Now().Add(time.Minute).Format(time.RFC3339Nano))
	case "confirming.ship":
		seen, err := json.Marshal(request.Results)
		if err != nil {
			return fmt.Sprintf(`{"rejected": {"code": "unreadable", "reason": %q}}`, err)
		}
		return fmt.Sprintf(`{"done": {"data": {"results": %s}}}`, seen)
	}
	return `{"done": {}}`
}

// waitRecorded waits until count messages of the kind are in the order's journal.
func (p *process) waitRecorded(t *testing.T, id string, kind string, count int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d times %s in order %s", count, kind, id), func() (bool, any) {
		got := command(t, p.environ, "", "get", id, "-o", "json")
		if got.code != exitOK {
			return false, got.err
		}
		v := decode[view](t, got.out)
		return strings.Count(v.kinds(), kind) == count, v.summaries()
	})
}

// shipped is the result of the waiting step, as the last step received it.
func (v view) shipped(t *testing.T) string {
	t.Helper()
	for _, e := range v.Events {
		if e.Kind != "step_completed" || !strings.HasPrefix(e.Summary, "ship ") {
			continue
		}
		var detail struct {
			StepCompleted struct {
				Data struct{ Results map[string]any }
			} `json:"step_completed"`
		}
		if err := json.Unmarshal(e.Detail, &detail); err != nil {
			t.Fatal(err)
		}
		compact, err := json.Marshal(detail.StepCompleted.Data.Results["confirm"])
		if err != nil {
			t.Fatal(err)
		}
		return string(compact)
	}
	t.Fatalf("order %s has not been shipped:\n%s", v.OrderID, v.summaries())
	return ""
}

// TestSignals: each signal has the answer that the table in docs/messages.md gives it, and the step that waited has the signal's
// data as its result.
func TestSignals(t *testing.T) {
	t.Parallel()
	p, w := startConfirming(t, "ORDERLY_UNKNOWN_AGE=1m")
	const completed = " step_completed step_completed completed"

	t.Run("awaited", func(t *testing.T) {
		p.publish(t, sampleOrder("awaited"))
		p.waitStatus(t, "awaited", "parked")
		ok(t, p.environ, "signal", "awaited", "confirmed", `{"by":"ann"}`)
		v := p.waitStatus(t, "awaited", "completed")
		if got, want := v.kinds(), "accepted step_completed step_pending parked signalled resumed"+completed; got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
		if got := v.shipped(t); got != `{"by":"ann"}` {
			t.Errorf("the step after it was handed %s", got)
		}
	})
	t.Run("early", func(t *testing.T) {
		open := w.close(t, "early")
		p.publish(t, sampleOrder("early"))
		ok(t, p.environ, "signal", "early", "confirmed", `"before its step"`)
		p.waitRecorded(t, "early", "signalled", 1)
		open()
		v := p.waitStatus(t, "early", "completed")
		if got, want := v.kinds(), "accepted signalled step_completed"+completed; got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
		if got := v.shipped(t); got != `"before its step"` {
			t.Errorf("the step after it was handed %s", got)
		}
	})
	t.Run("before the order", func(t *testing.T) {
		open := w.close(t, "first")
		ok(t, p.environ, "signal", "first", "confirmed", `1`)
		p.publish(t, sampleOrder("first"))
		p.waitRecorded(t, "first", "signalled", 1)
		open()
		if got := p.waitStatus(t, "first", "completed").shipped(t); got != `1` {
			t.Errorf("the step after it was handed %s", got)
		}
	})
	t.Run("twice", func(t *testing.T) {
		open := w.close(t, "twice")
		p.publish(t, sampleOrder("twice"))
		ok(t, p.environ, "signal", "twice", "confirmed", `1`)
		ok(t, p.environ, "signal", "twice", "confirmed", `2`)
		p.waitRecorded(t, "twice", "signalled", 2)
		open()
		v := p.waitStatus(t, "twice", "completed")
		if got, want := v.kinds(), "accepted signalled signalled step_completed"+completed; got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
		if got := v.shipped(t); got != `1` {
			t.Errorf("the step after it was handed %s: want the data of the first signal", got)
		}
	})
	t.Run("of another name", func(t *testing.T) {
		p.publish(t, sampleOrder("other"))
		p.waitStatus(t, "other", "parked")
		ok(t, p.environ, "signal", "other", "nonsense", `1`)
		p.waitRecorded(t, "other", "signalled", 1)
		ok(t, p.environ, "signal", "other", "confirmed", `2`)
		v := p.waitStatus(t, "other", "completed")
		if got, want := v.kinds(), "accepted step_completed step_pending parked signalled signalled resumed"+completed; got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
		if got := v.shipped(t); got != `2` {
			t.Errorf("the step after it was handed %s", got)
		}
	})
	t.Run("late", func(t *testing.T) {
		// The order has ended: nothing changes, and no dead letter is left.
		before := p.get(t, "awaited").kinds()
		ok(t, p.environ, "signal", "awaited", "confirmed", `{"by":"bob"}`)
		eventually(t, "an empty inbox", func() (bool, any) {
			s, err := p.jetStream(t).Stream(t.Context(), "ORDERS")
			if err != nil {
				return false, err
			}
			return s.CachedInfo().State.Msgs == 0, s.CachedInfo().State.Msgs
		})
		if got := p.get(t, "awaited").kinds(); got != before {
			t.Errorf("got %s\nwant %s", got, before)
		}
		if got := ok(t, p.environ, "dead", "list"); strings.Contains(got, "awaited") {
			t.Errorf("a late signal is a dead letter:\n%s", got)
		}
	})
}

// TestRedeliveredMessagesKeepTheirOrder: messages that were redelivered many times take effect in the order in which they
// were published (I6).
func TestRedeliveredMessagesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	p, w := startConfirming(t, "ORDERLY_UNKNOWN_AGE=1m")
	open := w.close(t, "o-1")
	const signals = 5
	for i := range signals {
		ok(t, p.environ, "signal", "o-1", fmt.Sprintf("s%d", i))
	}
	ok(t, p.environ, "cancel", "o-1")
	// Each has been delivered and given back: none of them finds an order.
	eventually(t, "redeliveries", func() (bool, any) {
		c, err := p.jetStream(t).Consumer(t.Context(), "ORDERS", "orderly")
		if err != nil {
			return false, err
		}
		return c.CachedInfo().NumRedelivered == signals+1, c.CachedInfo().NumRedelivered
	})
	p.publish(t, sampleOrder("o-1"))
	p.waitRecorded(t, "o-1", "cancel_requested", 1)
	open()
	v := p.waitStatus(t, "o-1", "cancelled")
	want := `accepted: 1 item, 19.00 EUR, plan confirming v1
signal "s0" arrived
signal "s1" arrived
signal "s2" arrived
signal "s3" arrived
signal "s4" arrived
cancel requested
order cancelled`
	if got := v.summaries(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A cancel that overtakes its order cancels it, however early it arrives: messages that wait for an order take effect before
// its first step.
func TestCancelOvertakesItsOrder(t *testing.T) {
	t.Parallel()
	p := withPlan(t, instant, "ORDERLY_UNKNOWN_AGE=1m")
	nc := p.connect(t)
	var ids []string
	for i, ahead := range []time.Duration{0, 10 * time.Millisecond, 300 * time.Millisecond, 900 * time.Millisecond, 2 * time.Second} {
		for n := range 5 {
			id := fmt.Sprintf("o-%d-%d", i, n)
			ids = append(ids, id)
			cancel := nats.NewMsg("ORDER." + id)
			cancel.Header.Set("Orderly-Type", "order.cancel")
			if err := nc.PublishMsg(cancel); err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				<-time.After(ahead)
			}
			if err := nc.Publish("ORDER."+id, []byte(sampleOrder(id))); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, id := range ids {
		v := p.waitStatus(t, id, "cancelled")
		if story := v.summaries(); !strings.HasPrefix(story, "accepted: 1 item, 19.00 EUR, plan instant v1\ncancel requested\n") {
			t.Errorf("%s:\n%s", id, story)
		}
	}
}

// TestCancelBeforeOrAfterCreated: whichever of the two is stored first, the order is cancelled. What a cancel that came first finds
// is accepted and cancelled in one entry, and nothing is called.
func TestCancelBeforeOrAfterCreated(t *testing.T) {
	t.Parallel()
	p, w := startConfirming(t, "ORDERLY_UNKNOWN_AGE=1m")
	publish := func(id string) { p.publish(t, sampleOrder(id)) }
	cancel := func(id string) { ok(t, p.environ, "cancel", id, "--reason", "changed my mind") }
	for id, c := range map[string]struct {
		first, second func(id string)
		called        string
	}{
		"created-first": {publish, cancel, "prepare done\nprepare undone\n"},
		"cancel-first":  {cancel, publish, ""},
	} {
		want := "accepted: 1 item, 19.00 EUR, plan confirming v1\ncancel requested: changed my mind\n" + c.called + "order cancelled: changed my mind"
		open := w.close(t, id)
		c.first(id)
		c.second(id)
		p.waitRecorded(t, id, "cancel_requested", 1)
		open()
		v := p.waitStatus(t, id, "cancelled")
		if got := v.summaries(); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", id, got, want)
		}
	}
}
