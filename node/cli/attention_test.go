package cli

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/demo"
)

// threeAttemptsPlan is the built-in plan with three attempts in quick succession and long timeouts.
const threeAttemptsPlan = `
name: impatient
version: 3
steps:
  - {name: reserve_inventory, do: nats://inventory.reserve, undo: nats://inventory.release, timeout: 1m, retry: {initial: 5ms, max: 5ms, attempts: 3}}
  - {name: authorize_payment, do: nats://payments.authorize, undo: nats://payments.void, timeout: 1m, retry: {initial: 5ms, max: 5ms, attempts: 3}}
  - {name: create_shipment, do: nats://shipping.create, undo: nats://shipping.cancel, timeout: 1m, retry: {initial: 5ms, max: 5ms, attempts: 3}}
  - {name: capture_payment, do: nats://payments.capture, timeout: 1m, retry: {initial: 5ms, max: 5ms, attempts: 3}}
`

// withPlan starts a node that follows a plan file.
func withPlan(t *testing.T, plan string, environ ...string) *process {
	t.Helper()
	return start(t, nil, append(environ, "ORDERLY_PLAN="+write(t, "plan.yaml", plan))...)
}

// TestRetriesAreShown: failed attempts are shown, with the time of the next one.
func TestRetriesAreShown(t *testing.T) {
	t.Parallel()
	p := withPlan(t, strings.ReplaceAll(threeAttemptsPlan, "attempts: 3", "attempts: 1000"))
	s := services(t, p, demo.Behaviors{Payments: demo.Behavior{Fail: 1}})
	p.publish(t, sampleOrder("o-1"))
	eventually(t, "three failed attempts", func() (bool, any) {
		v := p.get(t, "o-1")
		return strings.Count(v.kinds(), "step_failed") >= 3, v.summaries()
	})
	v := p.get(t, "o-1")
	if v.Status != "running" || !strings.Contains(v.LastError, "simulated failure") {
		t.Errorf("status %s, last error %q: want running and the service's own words", v.Status, v.LastError)
	}
	if text := ok(t, p.environ, "get", "o-1"); !strings.Contains(text, "last error  ") ||
		!strings.Contains(text, "authorize_payment failed (attempt 3 of 1000, transient): ") || !strings.Contains(text, "; again in ") {
		t.Errorf("a retry is not shown:\n%s", text)
	}
	if err := s.Set(demo.Behaviors{}); err != nil {
		t.Fatal(err)
	}
	v = p.waitStatus(t, "o-1", "completed")
	if v.LastError != "" {
		t.Errorf("a completed order has the last error %q", v.LastError)
	}
	if text := ok(t, p.environ, "get", "o-1"); !strings.Contains(text, " at attempt ") {
		t.Errorf("the number of attempts is not shown:\n%s", text)
	}
}

// startWithAttention brings an order into attention by three failed attempts.
func startWithAttention(t *testing.T) (*process, *demo.Services) {
	t.Helper()
	p := withPlan(t, threeAttemptsPlan)
	s := services(t, p, demo.Behaviors{Payments: demo.Behavior{Fail: 1}})
	p.publish(t, sampleOrder("o-1"))
	v := p.waitStatus(t, "o-1", "attention")
	if got, want := v.kinds(), "accepted step_completed step_failed step_failed step_failed attention"; got != want {
		t.Fatalf("got %s\nwant %s", got, want)
	}
	if !strings.Contains(v.Reason, "simulated failure") {
		t.Errorf("reason %q: want the cause in the service's own words", v.Reason)
	}
	text := ok(t, p.environ, "get", "o-1")
	for _, want := range []string{"status      attention since ", "): a person must decide about authorize_payment\n", "orderly retry o-1", "orderly skip o-1", "orderly cancel o-1"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	return p, s
}

// TestAttentionRetried: after a retry the order completes if the cause is repaired.
func TestAttentionRetried(t *testing.T) {
	p, s := startWithAttention(t)
	if err := s.Set(demo.Behaviors{}); err != nil {
		t.Fatal(err)
	}
	ok(t, p.environ, "retry", "o-1")
	v := p.waitStatus(t, "o-1", "completed")
	want := "accepted step_completed step_failed step_failed step_failed attention recorded resumed step_completed step_completed step_completed completed"
	if got := v.kinds(); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if !strings.Contains(v.summaries(), "resumed by retry") {
		t.Errorf("got\n%s", v.summaries())
	}
}

// TestAttentionAgain: a retry that fails ends in attention again, after all the attempts of the plan.
func TestAttentionAgain(t *testing.T) {
	p, _ := startWithAttention(t)
	ok(t, p.environ, "retry", "o-1")
	eventually(t, "attention for the second time", func() (bool, any) {
		v := p.get(t, "o-1")
		return v.Status == "attention" && strings.Count(v.kinds(), "attention") == 2 && strings.Count(v.kinds(), "step_failed") == 6, v.summaries()
	})
}

// TestAttentionSkipped: the order continues after a skipped step.
func TestAttentionSkipped(t *testing.T) {
	p, s := startWithAttention(t)
	if err := s.Set(demo.Behaviors{}); err != nil {
		t.Fatal(err)
	}
	said := subscribeSkips(t, p)
	ok(t, p.environ, "skip", "o-1")
	v := p.waitStatus(t, "o-1", "completed")
	if !strings.Contains(v.summaries(), "resumed by skip\nauthorize_payment skipped on request\ncreate_shipment done") {
		t.Errorf("got\n%s", v.summaries())
	}
	if got := said(); got != "do authorize_payment" {
		t.Errorf("the skip names %q, want the call that needed attention", got)
	}
}

// subscribeSkips subscribes to skips; next returns the call that the next one names.
func subscribeSkips(t *testing.T, p *process) (next func() string) {
	t.Helper()
	nc := p.connect(t)
	sub, err := nc.SubscribeSync(messages.SubjectOrder + ">")
	if err == nil {
		err = nc.Flush() // the server has the subscription before the first skip
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() (call string) {
		t.Helper()
		m, err := sub.NextMsg(natstest.Patience)
		if err != nil {
			t.Fatal(err)
		}
		skip, err := messages.DecodeSkip(m.Header.Get("Content-Type"), m.Data)
		if err != nil {
			t.Fatal(err)
		}
		return skip.GetDirection() + " " + skip.GetStep()
	}
}

// TestAttentionCancelled: a cancel settles the step in doubt and undoes all steps.
func TestAttentionCancelled(t *testing.T) {
	p, s := startWithAttention(t)
	if err := s.Set(demo.Behaviors{}); err != nil {
		t.Fatal(err)
	}
	ok(t, p.environ, "cancel", "o-1")
	v := p.waitStatus(t, "o-1", "cancelled")
	if !strings.HasSuffix(v.summaries(), "authorize_payment done at attempt 4\nauthorize_payment undone\nreserve_inventory undone\norder cancelled") {
		t.Errorf("got\n%s", v.summaries())
	}
}

// TestFailedUndoNeedsAttention: a failed undo needs attention, and a skip continues as if it were done.
func TestFailedUndoNeedsAttention(t *testing.T) {
	t.Parallel()
	p := withPlan(t, strings.ReplaceAll(threeAttemptsPlan, "nats://inventory.release", "nats://nobody.home"))
	services(t, p, demo.Behaviors{})
	p.publish(t, orderWith("o-1", demo.CustomerDeclined, "sku-1"))
	v := p.waitStatus(t, "o-1", "attention")
	if !strings.Contains(v.Reason, "nobody") && !strings.Contains(v.Reason, "no responders") {
		t.Errorf("reason %q, want no responders", v.Reason)
	}
	if !strings.Contains(v.summaries(), "a person must decide about the undo of reserve_inventory: ") {
		t.Errorf("got\n%s", v.summaries())
	}
	said := subscribeSkips(t, p)
	ok(t, p.environ, "skip", "o-1")
	v = p.waitStatus(t, "o-1", "rejected")
	if !strings.HasSuffix(v.summaries(), "undo of reserve_inventory skipped on request\norder rejected: card_declined: the card of the customer was declined") {
		t.Errorf("got\n%s", v.summaries())
	}
	if got := said(); got != "undo reserve_inventory" {
		t.Errorf("the skip names %q, want the call that needed attention", got)
	}
}

// TestPendingSignalled: a pending step completes by the service's signal.
func TestPendingSignalled(t *testing.T) {
	t.Parallel()
	p := withPlan(t, threeAttemptsPlan)
	services(t, p, demo.Behaviors{Payments: demo.Behavior{Pending: 1, Finish: 2 * time.Second}})
	p.publish(t, sampleOrder("o-1"))
	v := p.waitStatus(t, "o-1", "parked")
	if !strings.Contains(v.WaitsFor, "authorize_payment") {
		t.Errorf("waits for %q: want the step named", v.WaitsFor)
	}
	v = p.waitStatus(t, "o-1", "completed")
	if want := "signal \"authorize_payment\" arrived\nresumed by signal\nauthorize_payment done by signal \"authorize_payment\""; !strings.Contains(v.summaries(), want) {
		t.Errorf("got\n%s\nwant in it\n%s", v.summaries(), want)
	}
}

// TestPendingSignalledByCommand: the data of a signal sent by the command line reaches later steps.
func TestPendingSignalledByCommand(t *testing.T) {
	t.Parallel()
	p := withPlan(t, threeAttemptsPlan)
	s := services(t, p, demo.Behaviors{Payments: demo.Behavior{Pending: 1, Finish: time.Minute}})
	p.publish(t, sampleOrder("o-1"))
	p.waitStatus(t, "o-1", "parked")
	text := ok(t, p.environ, "get", "o-1")
	if !strings.Contains(text, "waits for   signal \"authorize_payment\" for step authorize_payment\nuntil       ") {
		t.Errorf("got\n%s", text)
	}
	if err := s.Set(demo.Behaviors{}); err != nil {
		t.Fatal(err)
	}
	ok(t, p.environ, "signal", "o-1", "something_else")
	ok(t, p.environ, "signal", "o-1", "authorize_payment", `{"authorization":"a-by-hand"}`)
	v := p.waitStatus(t, "o-1", "completed")
	if !strings.Contains(string(v.Events[len(v.Events)-2].Detail), "a-by-hand") {
		t.Errorf("capture_payment did not see the signal's data: %s", v.Events[len(v.Events)-2].Detail)
	}
}

// TestPendingDeadline: without a signal the step is called again at the deadline.
func TestPendingDeadline(t *testing.T) {
	t.Parallel()
	p := withPlan(t, `{"name": "pending", "version": 1, "steps": [{"name": "only", "do": "nats://slow.service", "timeout": "1m"}]}`)
	nc := p.connect(t)
	keys := make(chan string, 10)
	_, err := nc.Subscribe("slow.service", func(m *nats.Msg) {
		request := decode[struct {
			Key string `json:"idempotency_key"`
		}](t, string(m.Data))
		keys <- request.Key
		reply := `{"done": {"data": {"by": "the second call"}}}`
		if len(keys) == 1 {
			reply = fmt.Sprintf(`{"pending": {"signal": "finished", "deadline": %q}}`, time.Now().Add(time.Second).Format(time.RFC3339Nano))
		}
		if err := m.Respond([]byte(reply)); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := p.publish(t, sampleOrder("o-1"), "--wait"); got.code != exitOK {
		t.Fatalf("%s%s", got.out, got.err)
	}
	v := p.get(t, "o-1")
	if got, want := v.kinds(), "accepted step_pending parked resumed step_completed completed"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if !strings.Contains(v.summaries(), "resumed by its timer") {
		t.Errorf("got\n%s", v.summaries())
	}
	if first, second := <-keys, <-keys; first != second || first != "o-1/only/do" {
		t.Errorf("called under the keys %s and %s: want o-1/only/do twice", first, second)
	}
}
