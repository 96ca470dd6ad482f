package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/ingress"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/engine"
	"github.com/orderly-engine/orderly/node/engine/client"
)

// misconfiguredService answers with a status where refuse says so, otherwise done.
type misconfiguredService struct {
	mu     sync.Mutex
	refuse func(order, path string) int
}

func (s *misconfiguredService) set(refuse func(order, path string) int) {
	s.mu.Lock()
	s.refuse = refuse
	s.mu.Unlock()
}

func (s *misconfiguredService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var request struct {
		OrderID string `json:"order_id"`
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	status := s.refuse(request.OrderID, r.URL.Path)
	s.mu.Unlock()
	if status != 0 {
		w.WriteHeader(status)
		return
	}
	_, _ = io.WriteString(w, `{"done":{}}`)
}

func works(string, string) int { return 0 }

func misconfigured(t *testing.T, refuse func(order, path string) int) (*misconfiguredService, engine.URL) {
	t.Helper()
	s := &misconfiguredService{refuse: refuse}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return s, engine.URL(h.URL)
}

// Expired credentials and a wrong path cost no order anything, even under a plan with one attempt: all orders park, say why, and
// complete by themselves once it is corrected.
func TestFaultOfTheSetUpCostsNoOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ status, orders int }{{http.StatusUnauthorized, 1}, {http.StatusNotFound, 200}} {
		t.Run(fmt.Sprintf("%d, %d orders", c.status, c.orders), func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			service, url := misconfigured(t, func(string, string) int { return c.status })
			p := engine.Plan{Name: "once", Version: 1, Steps: []engine.Step{
				{Name: "pay", Do: url + "/pay", Timeout: natstest.Patience, Retry: engine.Retry{Attempts: 1}},
			}}
			s.start(p, engine.Config{})
			var ids []messages.OrderID
			var all []ingress.Outgoing
			for i := range c.orders {
				o := created(fmt.Sprintf("o-%d", i))
				ids, all = append(ids, o.OrderID), append(all, o)
			}
			s.publish(all...)
			natstest.Eventually(t, "every order has parked", func() bool {
				orders := s.parkedOrders()
				for _, o := range orders {
					if o.parks == 0 {
						return false
					}
				}
				return len(orders) == c.orders
			})
			service.set(works)
			s.untilEmpty()
			want := fmt.Sprintf("step pay waits: %s is unavailable (fault of the set-up): %s/pay: answered %d: %s", url, url, c.status, http.StatusText(c.status))
			for _, id := range ids {
				entries, kinds := s.history(id)
				if last := kinds[len(kinds)-1]; last != "completed" || count(kinds, "step_failed") > 0 {
					t.Errorf("order %s: %s, want it completed without a failed attempt", id, strings.Join(kinds, " "))
				}
				if reason := entries[1].Entry.GetEvents()[0].GetParked().GetReason(); !strings.HasPrefix(reason, want) {
					t.Errorf("order %s parked: %q, want %q", id, reason, want)
				}
			}
		})
	}
}

// An order that alone is answered 404 by a service that works ends in attention after its attempts. No other order waits for it.
func TestOrderAloneAnswered404(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	_, url := misconfigured(t, func(order, _ string) int {
		if order == "o-1" {
			return http.StatusNotFound
		}
		return 0
	})
	p := engine.Plan{Name: "alone", Version: 1, Steps: []engine.Step{
		{Name: "pay", Do: url + "/pay", Timeout: natstest.Patience, Retry: engine.Retry{Initial: 10 * time.Millisecond, Max: time.Second, Attempts: 5}},
	}}
	s.with(p, func(ctx context.Context, c *client.Client) {
		must(t, c.Create(ctx, gift("o-1", "c-7")))
		others := 0
		natstest.Eventually(t, "the order needs attention", func() bool {
			others++
			s.publish(created(fmt.Sprintf("other-%d", others)))
			view, err := c.Order(ctx, "o-1")
			return err == nil && view.Status == "attention"
		})
		view, err := c.Order(ctx, "o-1")
		must(t, err)
		if n := strings.Count(kinds(view), "step_failed"); n != 5 || !strings.Contains(view.Reason, "answered 404: Not Found") {
			t.Errorf("%d failed attempts, reason %q: want the 5 of the plan, and the answer", n, view.Reason)
		}
		s.untilEmpty()
		for id, o := range s.parkedOrders() {
			if id != "o-1" && (!o.completed || o.parks > 0) {
				t.Errorf("order %s: completed %v, parked %d times", id, o.completed, o.parks)
			}
		}
	})
}

// A status of the undo that the plan lists means that nothing is left to undo.
func TestNothingToUndoByStatus(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	_, url := misconfigured(t, func(_, path string) int {
		switch path {
		case "/void":
			return http.StatusNotFound
		case "/ship":
			return http.StatusUnprocessableEntity
		}
		return 0
	})
	p := engine.Plan{Name: "undo", Version: 1, Steps: []engine.Step{
		{Name: "pay", Do: url + "/pay", Undo: url + "/void", NothingToUndo: []string{"404"}, Timeout: natstest.Patience},
		{Name: "ship", Do: url + "/ship", Timeout: natstest.Patience},
	}}
	s.with(p, func(ctx context.Context, c *client.Client) {
		must(t, c.Create(ctx, gift("o-1", "c-7")))
		view, err := c.Wait(ctx, "o-1")
		must(t, err)
		if want := "accepted step_completed step_rejected step_undone rejected"; kinds(view) != want {
			t.Errorf("got %s\nwant %s", kinds(view), want)
		}
	})
}
