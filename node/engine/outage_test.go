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
	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/demo"
	"github.com/orderly-engine/orderly/node/engine"
)

// retrying is the built-in plan with that many attempts within about a second, and a time-out longer than the test.
func retrying(attempts int) engine.Plan {
	p := builtin()
	for i := range p.Steps {
		p.Steps[i].Timeout = natstest.Patience
		p.Steps[i].Retry = engine.Retry{Initial: 10 * time.Millisecond, Max: 100 * time.Millisecond, Attempts: attempts}
	}
	return p
}

// services runs the demo services until the test ends.
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

// requestLog holds the times of the requests to a subject.
type requestLog struct {
	mu    sync.Mutex
	times []time.Time
}

func logRequests(t *testing.T, nc *nats.Conn, subject string) *requestLog {
	t.Helper()
	l := &requestLog{}
	if _, err := nc.Subscribe(subject, func(*nats.Msg) {
		l.mu.Lock()
		l.times = append(l.times, time.Now())
		l.mu.Unlock()
	}); err != nil {
		t.Fatal(err)
	}
	return l
}

// between counts the requests in [from, to).
func (l *requestLog) between(from, to time.Time) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, at := range l.times {
		if !at.Before(from) && at.Before(to) {
			n++
		}
	}
	return n
}

// The payment service stops answering under load, and returns after 6 s. Every order completes and none needs attention. The
// outage costs the five attempts that open the circuit, then only probes reach the service, and its load ramps up afterwards.
func TestOutageUnderLoad(t *testing.T) {
	t.Parallel()
	const perSecond, outage, timeout = 60, 6 * time.Second, 2 * time.Second
	s := newServer(t)
	up := demo.All(demo.Behavior{Latency: 2 * time.Millisecond})
	payments := services(t, s.Connect(), up)
	calls := logRequests(t, s.Connect(), "payments.authorize")
	p := retrying(3)
	for _, name := range []string{"authorize_payment", "capture_payment"} {
		p.Step(name).Timeout = timeout
	}
	s.start(p, engine.Config{})

	var ids []messages.OrderID
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	load := func(d time.Duration) {
		for end := time.Now().Add(d); time.Now().Before(end); <-tick.C {
			var out []ingress.Outgoing
			for range perSecond / 10 {
				o := created(fmt.Sprintf("o-%d", len(ids)))
				ids, out = append(ids, o.OrderID), append(out, o)
			}
			s.publish(out...)
		}
	}
	load(2 * time.Second)
	left := time.Now()
	if err := payments.Set(demo.Behaviors{Payments: demo.Behavior{Away: true}}); err != nil {
		t.Fatal(err)
	}
	load(outage)
	missed := payments.Stats().Missed
	if err := payments.Set(up); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	load(time.Second)
	s.untilEmpty()

	var spent, parks, most int
	opened := back // when the first order learned that the circuit is open
	for _, id := range ids {
		entries, kinds := s.history(id)
		if last := kinds[len(kinds)-1]; last != "completed" {
			t.Errorf("order %s ended with %s: %s", id, last, strings.Join(kinds, " "))
		}
		failed, parked := 0, 0
		for _, e := range entries {
			at := e.Entry.GetTime().AsTime()
			if at.Before(opened) && strings.Contains(journal.Kinds(e.Entry), "parked") {
				opened = at
			}
			for _, event := range e.Entry.GetEvents() {
				if event.GetStepFailed() != nil && at.After(left) && at.Before(back) {
					failed++ // before and after, a busy machine can let a call time out
				}
				if event.GetParked() != nil {
					parked++
				}
				reason := event.GetParked().GetReason()
				if event.GetParked() != nil && !strings.HasPrefix(reason, "step authorize_payment waits: payments is unavailable (circuit open)") &&
					!strings.HasPrefix(reason, "step authorize_payment waits: payments is recovering") &&
					!strings.HasPrefix(reason, "step capture_payment waits: payments ") {
					t.Errorf("order %s parked: %s", id, reason)
				}
			}
		}
		if failed > 1 {
			t.Errorf("the outage cost order %s %d attempts, want at most 1", id, failed)
		}
		spent, parks, most = spent+failed, parks+parked, max(most, parked)
	}
	// Five failures open the circuit. Those that end at the same time are counted too.
	if spent < 5 || spent > 10 {
		t.Errorf("the outage cost %d attempts, want the five that opened the circuit", spent)
	}
	// The first failures are detected after a time-out; after that only trial calls are made, three at a time. The bound
	// allows for a busy machine.
	const unaware = int(timeout / time.Second)
	if missed < 5 || missed > 2*perSecond*unaware+20 {
		t.Errorf("%d calls while the service was unavailable", missed)
	}
	if n := calls.between(opened.Add(time.Second), back); n > 15 || !opened.Before(back) {
		t.Errorf("%d calls later than a second after the circuit opened, %s into the outage: want probes only", n, opened.Sub(left))
	}
	var rates []int
	for i := range 12 {
		from := back.Add(time.Duration(i) * time.Second)
		rates = append(rates, calls.between(from, from.Add(time.Second)))
	}
	if peak := slices.Max(rates); peak > 3*perSecond {
		t.Errorf("%d calls in a second after the return, the load before was %d", peak, perSecond)
	}
	if st := payments.Stats(); st.Effects != 4*len(ids) || len(st.Twice) > 0 {
		t.Errorf("%d effects for %d orders of four steps, twice: %v", st.Effects, len(ids), st.Twice)
	}
	t.Logf("%d orders, %d attempts spent, %d parks, at most %d of one order, %d calls while away, authorizations per second after the return %v",
		len(ids), spent, parks, most, missed, rates)
}

// Nobody subscribes to the payment service. The step in doubt delays a cancel until the service is available; then it is
// settled and undone.
func TestCancelDuringAnOutage(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	nc := s.Connect()
	first, err := demo.Start(nc, demo.Config{})
	if err != nil {
		t.Fatal(err)
	}
	p := retrying(6)
	p.Name = "retrying"
	s.start(p, engine.Config{})
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	// A request to a subscription that drains gets no reply, not even "no responders".
	natstest.Eventually(t, "no responders", func() bool {
		_, err := s.js.Conn().Request("inventory.reserve", nil, time.Second)
		return errors.Is(err, nats.ErrNoResponders)
	})
	s.publish(created("o-1"))
	kinds := func() []string {
		_, kinds := s.history("o-1")
		return kinds
	}
	last := func(kind string) func() bool {
		return func() bool {
			all := kinds()
			return len(all) > 0 && all[len(all)-1] == kind
		}
	}
	natstest.Eventually(t, "parked by the outage", last("parked"))
	s.publish(ingress.Outgoing{OrderID: "o-1", Type: messages.TypeCancel, Body: &messages.CancelOrder{Reason: "too slow"}})
	natstest.Eventually(t, "parked again after the cancel", func() bool {
		all := kinds()
		at := slices.Index(all, "cancel_requested")
		return at >= 0 && slices.Contains(all[at:], "parked")
	})
	natstest.Eventually(t, "a probe has failed", func() bool { return count(kinds(), "parked") >= 3 })
	demos := services(t, nc, demo.Behaviors{})
	natstest.Eventually(t, "cancelled", last("cancelled"))
	all := kinds()
	if n := count(all, "step_failed"); n != 5 {
		t.Errorf("%d attempts spent, want the five that opened the circuit: %v", n, all)
	}
	if i := slices.Index(all, "step_completed"); i < 0 || !slices.Equal(all[i:], []string{"step_completed", "step_undone", "cancelled"}) {
		t.Errorf("the step in doubt was not settled and undone: %v", all)
	}
	if st := demos.Stats(); st.Effects != 2 || len(st.Twice) > 0 {
		t.Errorf("%+v, want a reservation and its release", st)
	}
}

// An order that waits in memory for a rate limit keeps its delivery: no takeover, though the last one waits three times as
// long as an acknowledgement may take.
func TestWaitForARateLimitKeepsTheDelivery(t *testing.T) {
	t.Parallel()
	const rate, orders, ackWait = 2, 31, 5 * time.Second
	s := newServer(t)
	services(t, s.Connect(), demo.Behaviors{})
	p := builtin()
	p.Steps = p.Steps[:1]
	p.Steps[0].Limits.Rate = rate
	s.start(p, engine.Config{AckWait: ackWait, Hold: natstest.Patience})
	var out []ingress.Outgoing
	for i := range orders {
		out = append(out, created(fmt.Sprintf("o-%d", i)))
	}
	began := time.Now()
	s.publish(out...)
	s.untilEmpty()
	if took := time.Since(began); took < 2*ackWait {
		t.Errorf("%d calls took %s at %d per second", orders, took, rate)
	}
	for _, o := range out {
		if _, kinds := s.history(o.OrderID); !slices.Equal(kinds, []string{"accepted", "step_completed", "completed"}) {
			t.Errorf("order %s: %v", o.OrderID, kinds)
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
