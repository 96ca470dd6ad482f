package demo_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/delivery"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/demo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// soon is how long a test waits for a condition.
const soon = 30 * time.Second

func start(t testing.TB, nc *nats.Conn, cfg demo.Config) *demo.Services {
	t.Helper()
	s, err := demo.Start(nc, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func order(id string) *messages.OrderCreated {
	return &messages.OrderCreated{OrderId: id, CustomerId: "c-1042", Currency: "USD", TotalAmount: 3,
		Items: []*messages.OrderItem{{ProductId: "cork-board", Quantity: 2, UnitPrice: 1.5}}}
}

// step finds a step of the built-in plan, whose calls have all the time they need.
func step(t testing.TB, name string, e messages.Encoding) *messages.Step {
	t.Helper()
	for _, s := range plan.Builtin().Steps {
		if s.Name == name {
			s.Encoding, s.Timeout = e, durationpb.New(soon)
			return s
		}
	}
	t.Fatalf("no step %s", name)
	return nil
}

type caller struct {
	t   testing.TB
	set *gateway.Set
}

func newCaller(t testing.TB, nc *nats.Conn) *caller {
	set := gateway.New(nc, gateway.Config{})
	t.Cleanup(set.Close)
	return &caller{t, set}
}

// call performs a step of the built-in plan for the order.
func (c *caller) call(name string, d messages.Direction, o *messages.OrderCreated) (*messages.StepReply, error) {
	return c.callIn(messages.Encoding_ENCODING_JSON, name, d, o, nil)
}

func (c *caller) callIn(e messages.Encoding, name string, d messages.Direction, o *messages.OrderCreated, results map[string]string) (*messages.StepReply, error) {
	c.t.Helper()
	type outcome struct {
		reply *messages.StepReply
		err   error
	}
	ended := make(chan outcome, 1)
	c.set.Do(&gateway.Call{Step: step(c.t, name, e), Direction: d, Request: &messages.StepRequest{
		OrderId: o.OrderId, Step: name, Direction: d.Label(), Order: o, Results: results,
		IdempotencyKey: messages.IdempotencyKey(messages.OrderID(o.OrderId), name, d),
	}}, func(r *messages.StepReply, err error) { ended <- outcome{r, err} })
	o2 := <-ended
	return o2.reply, o2.err
}

func (c *caller) must(name string, d messages.Direction, o *messages.OrderCreated) *messages.StepReply {
	c.t.Helper()
	r, err := c.call(name, d, o)
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

// fieldOf returns a string in the data of a step.
func fieldOf(t *testing.T, data, name string) string {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal([]byte(data), &fields); err != nil {
		t.Fatal(err)
	}
	text, _ := fields[name].(string)
	return text
}

func TestServicesPerformTheBuiltinPlan(t *testing.T) {
	for name, e := range map[string]messages.Encoding{
		"json": messages.Encoding_ENCODING_JSON, "protobuf": messages.Encoding_ENCODING_PROTOBUF,
	} {
		t.Run(name, func(t *testing.T) {
			nc := natstest.Start(t, natstest.NoJetStream).Connect()
			s := start(t, nc, demo.Config{})
			c := newCaller(t, nc)
			results := map[string]string{}
			for _, st := range plan.Builtin().Steps {
				r, err := c.callIn(e, st.Name, messages.Do, order("o-1"), results)
				if err != nil || r.GetDone() == nil {
					t.Fatalf("%s: %s, %v", st.Name, r, err)
				}
				results[st.Name] = r.GetDone().GetData()
			}
			for stepName, field := range map[string]string{
				"reserve_inventory": "reservation", "authorize_payment": "authorization", "create_shipment": "shipment", "capture_payment": "payment",
			} {
				if fieldOf(t, results[stepName], field) == "" {
					t.Errorf("%s answered %s, want a %s", stepName, results[stepName], field)
				}
			}
			if got, want := fieldOf(t, results["capture_payment"], "authorization"), fieldOf(t, results["authorize_payment"], "authorization"); got != want {
				t.Errorf("captured authorization %s, want %s", got, want)
			}
			if st := s.Stats(); st.Effects != 4 || st.Calls != 4 || st.Subjects["payments.capture"] != 1 {
				t.Errorf("stats %+v", st)
			}
		})
	}
}

func TestSameKeySameAnswerOneEffect(t *testing.T) {
	nc := natstest.Start(t, natstest.NoJetStream).Connect()
	s := start(t, nc, demo.Config{})
	c := newCaller(t, nc)
	first := c.must("reserve_inventory", messages.Do, order("o-1"))
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if r, err := c.call("reserve_inventory", messages.Do, order("o-1")); err != nil || !proto.Equal(r, first) {
				t.Errorf("got %s, %v, want the first answer %s", r, err, first)
			}
		})
	}
	wg.Wait()
	// A refusal is stored like any other answer.
	refusedOrder := order("o-2")
	refusedOrder.CustomerId = demo.CustomerDeclined
	no := c.must("authorize_payment", messages.Do, refusedOrder)
	if again := c.must("authorize_payment", messages.Do, refusedOrder); no.GetRejected().GetCode() != "card_declined" || !proto.Equal(again, no) {
		t.Errorf("got %s, then %s", no, again)
	}
	st := s.Stats()
	if st.Calls != 53 || st.Repeats != 51 || st.Effects != 1 || st.Keys != 2 || len(st.Twice) != 0 {
		t.Errorf("stats %+v", st)
	}
}

func TestAnotherKeyForTheSameStepIsNoticed(t *testing.T) {
	nc := natstest.Start(t, natstest.NoJetStream).Connect()
	s := start(t, nc, demo.Config{})
	for _, key := range []string{"o-1/reserve_inventory/do", "o-1/reserve_inventory/do/2"} {
		body, err := messages.MarshalJSON(&messages.StepRequest{OrderId: "o-1", Step: "reserve_inventory", Direction: "do", IdempotencyKey: key, Order: order("o-1")})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := nc.Request("inventory.reserve", body, soon); err != nil {
			t.Fatal(err)
		}
	}
	if twice := s.Stats().Twice; len(twice) != 1 || twice[0] != "o-1/reserve_inventory/do" {
		t.Errorf("twice: %v, want the step that was performed under two keys", twice)
	}
}

// TestCallsThatAreNotPerformed: another body under a key, and a fencing token that is smaller than one seen before, also after a
// restart.
func TestCallsThatAreNotPerformed(t *testing.T) {
	nc := natstest.Start(t, natstest.NoJetStream).Connect()
	ledger := filepath.Join(t.TempDir(), "effects")
	send := func(subject string, d messages.Direction, token string, o *messages.OrderCreated) *nats.Msg {
		t.Helper()
		body, err := messages.MarshalJSON(&messages.StepRequest{
			OrderId: "o-1", Step: "reserve_inventory", Direction: d.Label(), Order: o,
			IdempotencyKey: messages.IdempotencyKey("o-1", "reserve_inventory", d),
		})
		if err != nil {
			t.Fatal(err)
		}
		m := nats.NewMsg(subject)
		m.Header.Set(messages.HeaderFencingToken, token)
		m.Data = body
		answer, err := nc.RequestMsg(m, soon)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	other := order("o-1")
	other.CustomerId = "c-2"
	for range 2 {
		s, err := demo.Start(nc, demo.Config{Ledger: ledger})
		if err != nil {
			t.Fatal(err)
		}
		if m := send("inventory.reserve", messages.Do, "10", order("o-1")); !strings.Contains(string(m.Data), `"done"`) {
			t.Errorf("do: %v %s", m.Header, m.Data)
		}
		if m := send("inventory.reserve", messages.Do, "11", other); m.Header.Get("Nats-Service-Error-Code") != "409" {
			t.Errorf("another body under the key: %v %s, want 409", m.Header, m.Data)
		}
		if m := send("inventory.release", messages.Undo, "9", order("o-1")); !strings.Contains(string(m.Data), `"retry"`) {
			t.Errorf("undo with a smaller token: %v %s, want retry", m.Header, m.Data)
		}
		if m := send("inventory.reserve", messages.Do, "9", order("o-1")); !strings.Contains(string(m.Data), `"done"`) {
			t.Errorf("a known key with a smaller token: %v %s, want the stored answer", m.Header, m.Data)
		}
		if m := send("inventory.release", messages.Undo, "x", order("o-1")); m.Header.Get("Nats-Service-Error-Code") != "400" {
			t.Errorf("a token that is not a number: %v %s, want 400", m.Header, m.Data)
		}
		if got := s.Stats().Effects; got != 1 {
			t.Errorf("%d effects, want 1", got)
		}
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUndo(t *testing.T) {
	nc := natstest.Start(t, natstest.NoJetStream).Connect()
	s := start(t, nc, demo.Config{})
	c := newCaller(t, nc)
	verdicts := func(id string) string {
		var words []string
		for _, call := range s.Order(id) {
			words = append(words, call.Direction+" "+call.Verdict)
		}
		return strings.Join(words, ", ")
	}

	c.must("reserve_inventory", messages.Do, order("o-1"))
	c.must("reserve_inventory", messages.Undo, order("o-1"))
	if got := verdicts("o-1"); got != "do performed, undo performed" {
		t.Errorf("undo of a step that was done: %s", got)
	}

	if r := c.must("reserve_inventory", messages.Do, order("o-1")); r.GetRejected().GetCode() != "undone" {
		t.Errorf("do after its undo: %s, want it refused", r)
	}

	if r := c.must("reserve_inventory", messages.Undo, order("o-2")); r.GetDone() == nil {
		t.Errorf("undo of a step never called: %s, want done", r)
	}
	if r := c.must("reserve_inventory", messages.Do, order("o-2")); r.GetRejected().GetCode() != "undone" {
		t.Errorf("do after its undo: %s, want it refused", r)
	}
	if got := verdicts("o-2"); got != "do sealed, undo idle" {
		t.Errorf("undo of a step never called: %s", got)
	}

	gone := order("o-3")
	gone.Items[0].ProductId = demo.ProductOutOfStock
	c.must("reserve_inventory", messages.Do, gone)
	c.must("reserve_inventory", messages.Undo, gone)
	if got := verdicts("o-3"); got != "do refused, undo idle" {
		t.Errorf("undo of a step that was refused: %s", got)
	}
}

func TestOrdersThatFareBadly(t *testing.T) {
	nc := natstest.Start(t, natstest.NoJetStream).Connect()
	start(t, nc, demo.Config{})
	c := newCaller(t, nc)
	heavy := order("o-1")
	heavy.Items[0].ProductId = demo.ProductTooHeavy
	c.must("reserve_inventory", messages.Do, heavy)
	c.must("authorize_payment", messages.Do, heavy)
	if r := c.must("create_shipment", messages.Do, heavy); r.GetRejected().GetCode() != "too_heavy" {
		t.Errorf("got %s", r)
	}
	unlucky := order("o-2")
	unlucky.CustomerId = demo.CustomerUnavailable
	for range 4 {
		_, err := c.call("authorize_payment", messages.Do, unlucky)
		if f := delivery.AsFailure(err); err == nil || f.Kind != messages.Transient {
			t.Errorf("got %v, want a transient failure", err)
		}
	}
}

func TestFailuresLoseAnswersNeverEffects(t *testing.T) {
	nc := natstest.Start(t, natstest.NoJetStream).Connect()
	s := start(t, nc, demo.Config{Behaviors: demo.Behaviors{Payments: demo.Behavior{Fail: 1}}})
	c := newCaller(t, nc)
	for range 40 {
		_, err := c.call("authorize_payment", messages.Do, order("o-1"))
		if delivery.AsFailure(err).Kind != messages.Transient || !strings.Contains(err.Error(), "503") {
			t.Fatalf("got %v, want 503", err)
		}
	}
	c.must("reserve_inventory", messages.Do, order("o-1"))
	if err := s.Set(demo.Behaviors{}); err != nil {
		t.Fatal(err)
	}
	c.must("authorize_payment", messages.Do, order("o-1"))
	if st := s.Stats(); st.Failed != 40 || st.Effects != 2 || len(st.Twice) != 0 {
		t.Errorf("stats %+v", st)
	}
	for _, call := range s.Order("o-1") {
		if call.Step == "authorize_payment" && (call.Calls != 41 || call.Effects != 1) {
			t.Errorf("got %+v, want 41 calls and one effect", call)
		}
	}
}

func TestRejectAndLatency(t *testing.T) {
	nc := natstest.Start(t, natstest.NoJetStream).Connect()
	start(t, nc, demo.Config{Behaviors: demo.Behaviors{
		Inventory: demo.Behavior{Reject: 1}, Shipping: demo.Behavior{Latency: 50 * time.Millisecond},
	}})
	c := newCaller(t, nc)
	if r := c.must("reserve_inventory", messages.Do, order("o-1")); r.GetRejected().GetCode() != "simulated" {
		t.Errorf("got %s", r)
	}
	if r := c.must("reserve_inventory", messages.Undo, order("o-9")); r.GetDone() == nil {
		t.Errorf("undo was answered %s", r)
	}
	begin := time.Now()
	c.must("create_shipment", messages.Do, order("o-1"))
	if took := time.Since(begin); took < 50*time.Millisecond {
		t.Errorf("took %s, want at least 50ms", took)
	}
}

func TestPendingWorkIsFinishedBySignal(t *testing.T) {
	nc := natstest.Start(t, natstest.NoJetStream).Connect()
	signals := make(chan *nats.Msg, 16)
	if _, err := nc.ChanSubscribe("ORDER.*", signals); err != nil {
		t.Fatal(err)
	}
	s := start(t, nc, demo.Config{Behaviors: demo.Behaviors{Shipping: demo.Behavior{Pending: 1, Finish: 3 * time.Second}}})
	c := newCaller(t, nc)
	r := c.must("create_shipment", messages.Do, order("o-1"))
	if r.GetPending().GetSignal() != "create_shipment" || r.GetPending().GetDeadline() == nil {
		t.Fatalf("got %s, want pending", r)
	}
	for range 5 {
		if again := c.must("create_shipment", messages.Do, order("o-1")); !proto.Equal(again, r) {
			t.Fatalf("got %s, then %s", r, again)
		}
	}
	var signal messages.SignalOrder
	select {
	case m := <-signals:
		if m.Subject != "ORDER.o-1" || m.Header.Get(messages.HeaderType) != string(messages.TypeSignal) {
			t.Errorf("signal %s %v", m.Subject, m.Header)
		}
		if err := messages.UnmarshalJSON(m.Data, &signal); err != nil {
			t.Fatal(err)
		}
	case <-time.After(soon):
		t.Fatal("no signal arrived")
	}
	done := c.must("create_shipment", messages.Do, order("o-1"))
	if signal.Name != "create_shipment" || done.GetDone() == nil || signal.Data == "" || signal.Data != done.GetDone().GetData() {
		t.Errorf("signal %s, then %s: want the same data", &signal, done)
	}
	// A second signal would have been due by now; what was sent before this request has arrived when it is answered.
	if _, err := nc.Request(demo.SubjectStats, nil, soon); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Effects != 1 || len(signals) != 0 {
		t.Errorf("stats %+v, %d more signals", st, len(signals))
	}
}

func TestStatsOverNATS(t *testing.T) {
	nc := natstest.Start(t, natstest.NoJetStream).Connect()
	start(t, nc, demo.Config{})
	c := newCaller(t, nc)
	c.must("reserve_inventory", messages.Do, order("o-1"))
	ask := func(body string, to any) {
		m, err := nc.Request(demo.SubjectStats, []byte(body), soon)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(m.Data, to); err != nil {
			t.Fatal(err)
		}
	}
	var st demo.Stats
	ask("", &st)
	if st.Effects != 1 || st.Calls != 1 || st.Twice == nil {
		t.Errorf("stats %+v", st)
	}
	var calls []demo.Call
	ask("o-1", &calls)
	if len(calls) != 1 || calls[0].Effects != 1 || calls[0].Verdict != "performed" {
		t.Errorf("calls %+v", calls)
	}
}

func TestMalformedRequestsAreRefused(t *testing.T) {
	nc := natstest.Start(t, natstest.NoJetStream).Connect()
	s := start(t, nc, demo.Config{})
	for name, body := range map[string]string{
		"garbage": "{", "nothing": "", "no key": `{"order_id":"o-1","step":"x","direction":"do"}`,
		"bad id":          `{"order_id":"o.1","step":"x","direction":"do","idempotency_key":"k"}`,
		"wrong direction": `{"order_id":"o-1","step":"x","direction":"undo","idempotency_key":"k"}`,
	} {
		m, err := nc.Request("inventory.reserve", []byte(body), soon)
		if err != nil || m.Header.Get("Nats-Service-Error-Code") != "400" || m.Header.Get("Nats-Service-Error") == "" {
			t.Errorf("%s: got %+v, %v, want error code 400", name, m, err)
		}
	}
	if st := s.Stats(); st.Effects != 0 {
		t.Errorf("stats %+v", st)
	}
}
