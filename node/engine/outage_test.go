package engine_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/demo"
	"github.com/orderly-engine/orderly/node/engine"
)

// send publishes messages about orders.
func (s *site) send(out ...ingress.Outgoing) {
	s.t.Helper()
	p, err := ingress.NewPublisher(s.nc, ingress.PublisherConfig{})
	if err != nil {
		s.t.Fatal(err)
	}
	defer p.Close()
	for _, o := range out {
		if err := p.Publish(s.t.Context(), o, func(_ ingress.PubAck, err error) {
			if err != nil {
				s.t.Error(err)
			}
		}); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := p.Flush(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

func good(id string) ingress.Outgoing {
	return ingress.Outgoing{OrderID: messages.OrderID(id), Body: &messages.OrderCreated{
		OrderId: id, CustomerId: "c-1042", Currency: "USD", TotalAmount: 3,
		Items: []*messages.OrderItem{{ProductId: "cork-board", Quantity: 2, UnitPrice: 1.5}},
	}}
}

// impatient is the built-in plan, whose orders would be in attention after three failures, within seconds. Services that
// are there have all the time they need.
func impatient() engine.Plan {
	p := engine.PlanFromProto(plan.Builtin())
	for i := range p.Steps {
		p.Steps[i].Timeout = patience
		p.Steps[i].Retry = engine.Retry{Initial: 10 * time.Millisecond, Max: 100 * time.Millisecond, Attempts: 3}
	}
	return p
}

func services(t *testing.T, nc *nats.Conn, b demo.Behaviors) *demo.Services {
	t.Helper()
	s, err := demo.Start(nc, demo.Config{Behaviors: b})
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

// events are the kinds and the events of one order.
func (s *site) events(id string) (kinds []string, events []*messages.Event) {
	s.t.Helper()
	for _, e := range s.entries(id) {
		for _, ev := range e.Entry.GetEvents() {
			kinds, events = append(kinds, messages.KindOf(ev)), append(events, ev)
		}
	}
	return kinds, events
}

// entries are the journal of one order.
func (s *site) entries(id string) []journal.Entry {
	s.t.Helper()
	j, err := journal.New(s.js, journal.Config{})
	if err != nil {
		s.t.Fatal(err)
	}
	defer j.Close()
	entries, err := j.History(s.t.Context(), messages.OrderID(id))
	if err != nil {
		s.t.Fatal(err)
	}
	return entries
}

// eavesdropper notes when a subject was called.
type eavesdropper struct {
	mu    sync.Mutex
	calls []time.Time
}

func eavesdrop(t *testing.T, nc *nats.Conn, subject string) *eavesdropper {
	t.Helper()
	e := &eavesdropper{}
	if _, err := nc.Subscribe(subject, func(*nats.Msg) {
		e.mu.Lock()
		e.calls = append(e.calls, time.Now())
		e.mu.Unlock()
	}); err != nil {
		t.Fatal(err)
	}
	return e
}

// between counts the calls in a span.
func (e *eavesdropper) between(from, to time.Time) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, at := range e.calls {
		if !at.Before(from) && at.Before(to) {
			n++
		}
	}
	return n
}

// The payment service goes away under load, silently, and comes back. Every order completes, none needs a person, next to
// none of their attempts is spent, the service is left alone while it is away and met slowly when it is back.
func TestOutageUnderLoad(t *testing.T) {
	t.Parallel()
	const perSecond, outage, timeout = 60, 6 * time.Second, 2 * time.Second
	s := newSite(t)
	paid := services(t, s.connect(), demo.All(demo.Behavior{Latency: 2 * time.Millisecond}))
	calls := eavesdrop(t, s.connect(), "payments.authorize")
	p := impatient()
	for _, name := range []string{"authorize_payment", "capture_payment"} {
		p.Step(name).Timeout = timeout
	}
	s.runConfigured(p, engine.Config{})

	var ids []string
	load := func(d time.Duration) {
		for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			var out []ingress.Outgoing
			for range perSecond / 10 {
				id := fmt.Sprintf("o-%d", len(ids))
				ids, out = append(ids, id), append(out, good(id))
			}
			s.send(out...)
		}
	}
	load(2 * time.Second)
	left := time.Now()
	if err := paid.Set(demo.Behaviors{Payments: demo.Behavior{Away: true}}); err != nil {
		t.Fatal(err)
	}
	load(outage)
	missed := paid.Stats().Missed
	if err := paid.Set(demo.All(demo.Behavior{Latency: 2 * time.Millisecond})); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	load(time.Second)
	deadline := time.Now().Add(60 * time.Second)
	for s.stored(messages.StreamOrders)+s.stored(messages.StreamTimers) > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("%d messages and %d timers are left", s.stored(messages.StreamOrders), s.stored(messages.StreamTimers))
		}
		time.Sleep(20 * time.Millisecond)
	}

	var failures, parks, most int
	opened := back // when the first order was told that the circuit is open
	for _, id := range ids {
		kinds, events := s.events(id)
		for _, e := range s.entries(id) {
			if at := e.Entry.GetTime().AsTime(); at.Before(opened) && strings.Contains(journal.Kinds(e.Entry), "parked") {
				opened = at
			}
		}
		if last := kinds[len(kinds)-1]; last != "completed" {
			t.Errorf("order %s ended with %s: %s", id, last, strings.Join(kinds, " "))
		}
		spent, parked := 0, 0
		for _, e := range events {
			if e.GetStepFailed() != nil {
				spent++
			}
			if p := e.GetParked(); p != nil {
				parked++
				if !strings.HasPrefix(p.GetReason(), "step authorize_payment waits: payments is out (circuit open)") &&
					!strings.HasPrefix(p.GetReason(), "step authorize_payment waits: payments was out") &&
					!strings.HasPrefix(p.GetReason(), "step capture_payment waits: payments ") {
					t.Errorf("order %s parked: %s", id, p.GetReason())
				}
			}
		}
		failures, parks, most = failures+spent, parks+parked, max(most, parked)
		if spent > 1 {
			t.Errorf("order %s spent %d attempts of an outage", id, spent)
		}
	}
	// Five failures open the circuit; only what fails at the same time can count besides.
	if failures < 5 || failures > 10 {
		t.Errorf("%d attempts were spent, want the five that opened the circuit", failures)
	}
	// A time-out passes before the first failure shows; then there are trials only, three at once. How long it takes a busy
	// machine to see the failures tells nothing.
	const unaware = int(timeout / time.Second)
	if missed < 5 || missed > 2*perSecond*unaware+20 {
		t.Errorf("%d calls while the service was away", missed)
	}
	if n := calls.between(opened.Add(time.Second), back); n > 15 || !opened.Before(back) {
		t.Errorf("%d calls later than a second after the circuit opened, %s into the outage: want trials only", n, opened.Sub(left))
	}
	var pace []int
	for i := range 12 {
		from := back.Add(time.Duration(i) * time.Second)
		pace = append(pace, calls.between(from, from.Add(time.Second)))
	}
	if peak := slices.Max(pace); peak > 2*perSecond+perSecond {
		t.Errorf("%d calls in a second after the return, the load before was %d", peak, perSecond)
	}
	st := paid.Stats()
	if st.Effects != 4*len(ids) || len(st.Twice) > 0 {
		t.Errorf("%d effects for %d orders of four steps, twice: %v", st.Effects, len(ids), st.Twice)
	}
	t.Logf("%d orders, %d attempts spent, %d parks, at most %d of one order, %d calls while away, authorizations per second after the return %v",
		len(ids), failures, parks, most, missed, pace)
}

// Nobody listens at the payment service: one order alone does not spend its attempts. A cancel meanwhile waits for the
// service, for the step is in doubt, and is carried out when it is there.
func TestCancelDuringAnOutage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	nc := s.connect()
	first, err := demo.Start(nc, demo.Config{})
	if err != nil {
		t.Fatal(err)
	}
	p := impatient()
	p.Name = "patient"
	for i := range p.Steps {
		p.Steps[i].Retry.Attempts = 6
	}
	s.runConfigured(p, engine.Config{})
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	// What is sent to a subscription that is being drained has no answer, not even that nobody listens.
	until(t, "nobody listens", func() bool {
		_, err := s.nc.Request("inventory.reserve", nil, time.Second)
		return errors.Is(err, nats.ErrNoResponders)
	})
	s.send(good("o-1"))
	ended := func(last string) func() bool {
		return func() bool {
			kinds, _ := s.events("o-1")
			return len(kinds) > 0 && kinds[len(kinds)-1] == last
		}
	}
	until(t, "parked by the outage", ended("parked"))
	s.send(ingress.Outgoing{OrderID: "o-1", Type: messages.TypeCancel, Body: &messages.CancelOrder{Reason: "too slow"}})
	until(t, "parked again by the cancel", func() bool {
		kinds, _ := s.events("o-1")
		at := slices.Index(kinds, "cancel_requested")
		return at >= 0 && slices.Contains(kinds[at:], "parked")
	})
	until(t, "a trial has failed", func() bool {
		kinds, _ := s.events("o-1")
		return count(kinds, "parked") >= 3
	})
	demos := services(t, nc, demo.Behaviors{})
	until(t, "cancelled", ended("cancelled"))
	kinds, _ := s.events("o-1")
	if n := count(kinds, "step_failed"); n != 5 {
		t.Errorf("%d attempts spent, want the five that opened the circuit: %v", n, kinds)
	}
	if i := slices.Index(kinds, "step_completed"); i < 0 || !slices.Equal(kinds[i:], []string{"step_completed", "step_undone", "cancelled"}) {
		t.Errorf("the step in doubt was not settled and undone: %v", kinds)
	}
	if st := demos.Stats(); st.Effects != 2 || len(st.Twice) > 0 {
		t.Errorf("%+v, want a reservation and its release", st)
	}
}

// What waits in memory for its turn goes on giving signs of life: nobody takes it over.
func TestWaitingForARateLimitKeepsTheDelivery(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	services(t, s.connect(), demo.Behaviors{})
	p := engine.PlanFromProto(plan.Builtin())
	p.Steps = p.Steps[:1]
	// The last order waits three times as long as a delivery may go without a sign of life. That is longer than a busy
	// machine is late with one.
	const rate, orders, ackWait = 2, 31, 5 * time.Second
	p.Steps[0].Limits.Rate = rate
	s.runConfigured(p, engine.Config{AckWait: ackWait, Hold: patience})
	var out []ingress.Outgoing
	for i := range orders {
		out = append(out, good(fmt.Sprintf("o-%d", i)))
	}
	began := time.Now()
	s.send(out...)
	until(t, "an empty inbox", func() bool { return s.stored(messages.StreamOrders) == 0 })
	if took := time.Since(began); took < 2*ackWait {
		t.Errorf("%d calls took %s at %d per second", orders, took, rate)
	}
	for i := range orders {
		if kinds, _ := s.events(fmt.Sprintf("o-%d", i)); !slices.Equal(kinds, []string{"accepted", "step_completed", "completed"}) {
			t.Errorf("order %d: %v", i, kinds)
		}
	}
}

func count(kinds []string, kind string) (n int) {
	for _, k := range kinds {
		if k == kind {
			n++
		}
	}
	return n
}
