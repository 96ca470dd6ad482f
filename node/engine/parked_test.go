package engine_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/actors/journal"
	"github.com/orderly-engine/orderly/actors/plan"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/engine"
)

// park is what the journal tells of one order that parked.
type park struct {
	until        time.Time
	parks, wakes int
	completed    bool
}

// parks reads the whole journal.
func (s *site) parks() map[string]*park {
	s.t.Helper()
	orders := map[string]*park{}
	err := journal.Scan(s.t.Context(), s.js, func(e journal.Entry) error {
		id := e.Entry.GetOrderId()
		if orders[id] == nil {
			orders[id] = &park{}
		}
		p := orders[id]
		for _, event := range e.Entry.GetEvents() {
			switch k := event.GetKind().(type) {
			case *messages.Event_Parked:
				p.parks++
				p.until = k.Parked.GetUntil().AsTime()
			case *messages.Event_Resumed:
				if k.Resumed.GetCause() == "wake" {
					p.wakes++
				}
				if early := p.until.Sub(e.Entry.GetTime().AsTime()); early > 0 {
					s.t.Errorf("order %s was resumed %s early", id, early)
				}
			case *messages.Event_Completed:
				p.completed = true
			}
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return orders
}

// A thousand orders park for fractions of a second, come back once each and not before their time, on any of two nodes,
// while orders that do not wait pass by. Where one server is all there is, nobody asks the leader to read them.
func TestParkedOrdersComeBackOnce(t *testing.T) {
	const orders = 1000
	s := newSite(t)
	var asked atomic.Int32
	sub, err := s.nc.Subscribe("$JS.API.STREAM.MSG.GET."+messages.StreamEvents, func(*nats.Msg) { asked.Add(1) })
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	p := engine.PlanFromProto(plan.Sim("sim:"))
	p.Name, p.Steps[1].Do = "parks", engine.Function(func(_ context.Context, c *engine.Call) (any, error) {
		if c.Attempt > 1 {
			return nil, nil
		}
		h := fnv.New32a()
		fmt.Fprint(h, c.Order.ID)
		return nil, engine.RetryAfter(200*time.Millisecond+time.Duration(h.Sum32()%400_000)*time.Microsecond, errors.New("not yet"))
	})
	for _, name := range []string{"n-1", "n-2"} {
		s.runConfigured(p, engine.Config{Node: name, Hold: time.Millisecond})
	}
	s.publish(orders)
	until(t, "no message and no timer left", func() bool {
		return s.stored(messages.StreamOrders) == 0 && s.stored(messages.StreamTimers) == 0
	})
	if n := asked.Load(); n > 0 { // before the test itself reads the journal, and may have to ask
		t.Errorf("the leader was asked %d times", n)
	}
	got := s.parks()
	if len(got) != orders {
		t.Errorf("%d orders in the journal, want %d", len(got), orders)
	}
	for id, p := range got {
		if p.parks != 1 || p.wakes != 1 || !p.completed {
			t.Errorf("order %s: parked %d times, woken %d times, completed %t; want once, once and true", id, p.parks, p.wakes, p.completed)
		}
	}
}
