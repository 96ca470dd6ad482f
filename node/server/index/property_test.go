package index_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/cause"
	"github.com/orderly-engine/orderly/node/server/index"
	"github.com/orderly-engine/orderly/node/timeline"
)

// run keeps an index until stop is called, which writes nothing, as if the process were killed.
func (s *testServer) run(cfg index.Config) (x *index.Index, stop func()) {
	s.t.Helper()
	if cfg.Interval == 0 {
		cfg.Interval = 5 * time.Millisecond
	}
	x, err := index.New(s.js, cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { x.Run(ctx) })
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			wg.Wait()
			x.Close()
		})
	}
	s.t.Cleanup(stop)
	return x, stop
}

// waitCaughtUp waits until every entry of the journal is in the index.
func waitCaughtUp(t testing.TB, x *index.Index) {
	t.Helper()
	began := time.Now()
	natstest.Eventually(t, "the index has everything", func() bool {
		d, ok := x.Lag()
		return ok && d < time.Since(began)
	})
}

// all lists every order that q chooses, in pages of the size.
func listAll(t testing.TB, x *index.Index, q index.Query, size int) []index.Order {
	t.Helper()
	var orders []index.Order
	for q.Limit = size; ; {
		p, err := x.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(orders) > 100_000 {
			t.Fatal("the pages do not end")
		}
		orders = append(orders, p.Orders...)
		if q.Cursor = p.Next; q.Cursor == "" {
			return orders
		}
	}
}

// want is the order as the index must list it: as the core folds its events.
func (t *history) want() index.Order {
	s := t.state
	o := index.Order{
		OrderID: t.id, CustomerID: s.Order.GetCustomerId(), Status: s.Status.String(), Reason: s.End,
		Total: messages.FormatAmount(s.Order.GetTotalAmount(), s.Order.GetCurrency()), Currency: s.Order.GetCurrency(),
		Plan: fmt.Sprintf("%s v%d", s.Plan.GetName(), s.Plan.GetVersion()), StatusSince: t.statusSince(), CreatedAt: s.StartedAt, UpdatedAt: s.ChangedAt,
		Sequence: t.sequences[len(t.entries)-1],
	}
	switch s.Status {
	case order.Attention:
		o.Reason = s.AttentionCause.GetCause()
	case order.Parked:
		until := s.ParkedUntil
		o.Reason, o.WaitsUntil = s.ParkReason, &until
	}
	o.Step = t.indexedStep()
	return o
}

// statusSince is when the order entered its status, as in its timeline; for a parked order, the first park since it made
// progress.
func (t *history) statusSince() time.Time {
	var entries []journal.Entry
	var rested time.Time
	for i, e := range t.entries {
		entries = append(entries, journal.Entry{Sequence: t.sequences[i], Entry: e})
		for _, ev := range e.GetEvents() {
			switch messages.KindOf(ev) {
			case "parked":
				if rested.IsZero() {
					rested = e.GetTime().AsTime()
				}
			case "step_completed", "step_undone", "step_rejected", "attention":
				rested = time.Time{}
			}
		}
	}
	if t.state.Status == order.Parked {
		return rested
	}
	view, err := timeline.New(entries)
	if err != nil {
		panic(err) // it is a legal history
	}
	return view.StatusSince
}

// indexedStep is the step of index.Order: the one after the last completed step, or the step of the last event, whichever is newer.
func (t *history) indexedStep() string {
	step, done := "", 0
	for _, e := range t.entries {
		for _, ev := range e.GetEvents() {
			switch k := ev.GetKind().(type) {
			case *messages.Event_Accepted:
				step = t.plan.Steps[0].Name
			case *messages.Event_StepCompleted:
				if done++; done < len(t.plan.Steps) {
					step = t.plan.Steps[done].Name
				} else {
					step = ""
				}
			case *messages.Event_StepFailed:
				step = k.StepFailed.Step
			case *messages.Event_StepRejected:
				step = k.StepRejected.Step
			case *messages.Event_StepPending:
				step = k.StepPending.Step
			case *messages.Event_StepUndone:
				step = k.StepUndone.Step
			case *messages.Event_Attention:
				step = k.Attention.Step
			}
		}
	}
	if t.state.Status.Terminal() {
		return ""
	}
	return step
}

func checkStream(a, b index.Order) bool {
	if (a.WaitsUntil == nil) != (b.WaitsUntil == nil) || a.WaitsUntil != nil && !a.WaitsUntil.Equal(*b.WaitsUntil) {
		return false
	}
	a.WaitsUntil, b.WaitsUntil = nil, nil
	return fmt.Sprintf("%+v", a) == fmt.Sprintf("%+v", b)
}

// withoutBehind maps the orders by id.
func withoutBehind(orders []index.Order) map[string]index.Order {
	m := map[string]index.Order{}
	for _, o := range orders {
		m[o.OrderID] = index.Order{
			OrderID: o.OrderID, CustomerID: o.CustomerID, Status: o.Status, Step: o.Step, Reason: o.Reason, WaitsUntil: o.WaitsUntil,
			Total: o.Total, Currency: o.Currency, Plan: o.Plan, StatusSince: o.StatusSince, CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt, Sequence: o.Sequence,
		}
	}
	return m
}

// TestIndexMatchesJournal: for random interleaved histories, read by an index that is stopped at random times, the index lists
// each order as the core folds its events; and so does an index that is rebuilt.
func TestIndexMatchesJournal(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	s, dir := newTestServer(t), t.TempDir()
	var histories []*history
	seen := map[order.Status]int{}
	for range 12 {
		hold := time.Duration(r.IntN(40)) * time.Millisecond
		x, stop := s.run(index.Config{Dir: dir, Hold: max(1, hold)})
		for range 50 + r.IntN(200) {
			if len(histories) == 0 || r.IntN(4) == 0 {
				histories = append(histories, newHistory(r, fmt.Sprintf("o-%d", len(histories))))
			}
			// New orders are preferred, so that entries of one order come close together.
			one := histories[max(0, len(histories)-1-r.IntN(10))]
			if r.IntN(5) == 0 {
				one = histories[r.IntN(len(histories))]
			}
			if e := one.next(); e != nil {
				one.sequences = append(one.sequences, s.append(e))
			}
		}
		if r.IntN(2) == 0 {
			waitCaughtUp(t, x)
			requireIndexed(t, x, histories)
		} else {
			<-time.After(time.Duration(r.IntN(20)) * time.Millisecond) // stop at a random time
		}
		stop()
	}
	x, stop := s.run(index.Config{Dir: dir})
	waitCaughtUp(t, x)
	requireIndexed(t, x, histories)
	stop()
	fresh, _ := s.run(index.Config{Dir: t.TempDir()})
	waitCaughtUp(t, fresh)
	requireIndexed(t, fresh, histories)
	for _, one := range histories {
		seen[one.state.Status]++
	}
	t.Logf("%d orders: %v", len(histories), seen)
	for status := order.Running; status <= order.Cancelled; status++ {
		if seen[status] == 0 {
			t.Errorf("no order is %s: the histories do not try enough", status)
		}
	}
}

// requireIndexed compares the index with the histories, as a whole and by each kind of query.
func requireIndexed(t *testing.T, x *index.Index, histories []*history) {
	t.Helper()
	want := map[string]index.Order{}
	for _, one := range histories {
		if len(one.entries) > 0 {
			want[one.id] = one.want()
		}
	}
	matching := func(q index.Query, holds func(index.Order) bool) {
		t.Helper()
		listed := listAll(t, x, q, 7)
		got := withoutBehind(listed)
		if len(listed) != len(got) {
			t.Fatalf("%+v: an order is listed twice", q)
		}
		if !slices.IsSortedFunc(listed, func(a, b index.Order) int { return b.StatusSince.Compare(a.StatusSince) }) {
			t.Fatalf("%+v: not the latest first", q)
		}
		for id, o := range want {
			if !holds(o) {
				continue
			}
			if g, ok := got[id]; !ok || !checkStream(g, o) {
				t.Fatalf("%+v\ngot  %+v\nwant %+v", q, g, o)
			}
			delete(got, id)
		}
		if len(got) > 0 {
			t.Fatalf("%+v: too many: %v", q, slices.Collect(maps.Keys(got)))
		}
	}
	matching(index.Query{}, func(index.Order) bool { return true })
	for _, status := range index.StatusNames {
		matching(index.Query{Status: []string{status}}, func(o index.Order) bool { return o.Status == status })
		matching(index.Query{Status: []string{status, "running"}, Customer: "c-2"}, func(o index.Order) bool {
			return (o.Status == status || o.Status == "running") && o.CustomerID == "c-2"
		})
	}
	matching(index.Query{Customer: "c-1"}, func(o index.Order) bool { return o.CustomerID == "c-1" })
	matching(index.Query{Customer: "nobody"}, func(index.Order) bool { return false })
	matching(index.Query{Reason: "STUCK 1 %_'"}, func(o index.Order) bool { return o.Reason == "stuck 1 %_'" })
	matching(index.Query{Reason: cause.Group("Stuck 1 %_'", "")}, func(o index.Order) bool {
		return strings.HasPrefix(o.Reason, "stuck ") && strings.HasSuffix(o.Reason, " %_'")
	})
	matching(index.Query{Reason: "_…stuck"}, func(index.Order) bool { return false })
	matching(index.Query{Reason: "1 %%"}, func(index.Order) bool { return false })
}
