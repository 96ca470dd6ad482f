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
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/engine"
)

// parked is what the journal says about an order that parked.
type parked struct {
	until        time.Time
	parks, wakes int
	completed    bool
}

// parkedOrders reads the whole journal.
func (s *server) parkedOrders() map[string]*parked {
	s.t.Helper()
	orders := map[string]*parked{}
	err := journal.Scan(s.t.Context(), s.js, func(e journal.Entry) error {
		id := e.Entry.GetOrderId()
		if orders[id] == nil {
			orders[id] = &parked{}
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

// A thousand orders park for 200 to 600 ms and resume once, not early, on either of two nodes. A single server answers the
// reads by direct get: the stream leader gets no request.
func TestParkedOrdersResumeOnce(t *testing.T) {
	const orders = 1000
	s := newServer(t)
	var requests atomic.Int32
	sub, err := s.js.Conn().Subscribe("$JS.API.STREAM.MSG.GET."+messages.StreamEvents, func(*nats.Msg) { requests.Add(1) })
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	p := sim("sim:")
	p.Name, p.Steps[1].Do = "parks", engine.Function(func(_ context.Context, c *engine.Call) (any, error) {
		if c.Attempt > 1 {
			return nil, nil
		}
		h := fnv.New32a()
		fmt.Fprint(h, c.Order.ID)
		return nil, engine.RetryAfter(200*time.Millisecond+time.Duration(h.Sum32()%400_000)*time.Microsecond, errors.New("not yet"))
	})
	for _, name := range []string{"n-1", "n-2"} {
		s.start(p, engine.Config{Node: name, Hold: time.Millisecond})
	}
	s.publishOrders(orders)
	s.untilEmpty()
	if n := requests.Load(); n > 0 { // before this test reads the journal
		t.Errorf("the stream leader got %d requests", n)
	}
	got := s.parkedOrders()
	if len(got) != orders {
		t.Errorf("%d orders in the journal, want %d", len(got), orders)
	}
	for id, p := range got {
		if p.parks != 1 || p.wakes != 1 || !p.completed {
			t.Errorf("order %s: parked %d times, woken %d times, completed %t; want once, once and true", id, p.parks, p.wakes, p.completed)
		}
	}
}
