package cli

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/node/demo"
)

// TestHTTP: an order over HTTP from its beginning to its end, on a real node.
func TestHTTP(t *testing.T) {
	p := start(t, nil)
	s := services(t, p, demo.Behaviors{Payments: demo.Behavior{Pending: 1, Finish: time.Minute}})
	taken := p.post(t, "/v1/orders", sampleOrder("o-1"))
	if taken.code != http.StatusAccepted || taken.header.Get("Location") != "/v1/orders/o-1" {
		t.Fatalf("%d, Location %q: %s", taken.code, taken.header.Get("Location"), taken.body)
	}
	p.waitStatus(t, "o-1", "parked")
	got := p.request(t, http.MethodGet, "/v1/orders/o-1", "")
	if v := decode[view](t, got.body); got.code != http.StatusOK || v.Status != "parked" || v.OrderID != "o-1" {
		t.Errorf("%d: %s", got.code, got.body)
	}
	// The command line and HTTP report the same events.
	if a, b := got.body, ok(t, p.environ, "get", "o-1", "-o", "json"); decode[view](t, a).summaries() != decode[view](t, b).summaries() {
		t.Errorf("HTTP reports\n%s\nthe command line\n%s", a, b)
	}
	if err := s.Set(demo.Behaviors{}); err != nil {
		t.Fatal(err)
	}
	if a := p.post(t, "/v1/orders/o-1/signals/authorize_payment", `{"authorization":"a-1"}`); a.code != http.StatusAccepted {
		t.Errorf("%d: %s", a.code, a.body)
	}
	p.waitStatus(t, "o-1", "completed")

	if a := p.post(t, "/v1/orders", orderWith("o-2", demo.CustomerDeclined, "sku-1")); a.code != http.StatusAccepted {
		t.Errorf("%d: %s", a.code, a.body)
	}
	events := p.request(t, http.MethodGet, "/v1/orders/o-2/events", "", "Accept", "text/event-stream")
	if !strings.Contains(events.body, "event: step_undone\n") || !strings.Contains(events.body, "event: rejected\n") {
		t.Errorf("the stream does not contain the end of the order:\n%s", events.body)
	}
}

// TestHTTPRefuses: invalid input is answered with a problem, and nothing is stored.
func TestHTTPRefuses(t *testing.T) {
	p := start(t, nil)
	for name, c := range map[string]struct {
		method, path, body string
		code               int
		says               string
	}{
		"broken JSON":    {"POST", "/v1/orders", "{", 400, "not a JSON OrderCreated"},
		"unknown field":  {"POST", "/v1/orders", `{"order_id":"o-1","qty":1}`, 400, `unknown field \"qty\"`},
		"no customer":    {"POST", "/v1/orders", orderWith("o-1", "", "sku-1"), 422, "customer_id is missing"},
		"no id":          {"POST", "/v1/orders", `{"customer_id":"c"}`, 422, "order id is missing"},
		"too large":      {"POST", "/v1/orders", `{"order_id":"` + strings.Repeat("x", 300<<10), 413, "262144"},
		"unknown order":  {"GET", "/v1/orders/o-9", "", 404, "no order o-9"},
		"odd id":         {"GET", "/v1/orders/a.b", "", 400, "outside A–Z a–z 0–9 _ -"},
		"unknown path":   {"GET", "/v2", "", 404, "orders are at /v1/orders"},
		"unknown method": {"DELETE", "/v1/orders/o-1", "", 405, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := p.request(t, c.method, c.path, c.body)
			if a.code != c.code || a.header.Get("Content-Type") != "application/problem+json" || !strings.Contains(a.body, c.says) {
				t.Errorf("%d %s: %s\nwant %d with %q", a.code, a.header.Get("Content-Type"), a.body, c.code, c.says)
			}
		})
	}
	p.requireBalanced(t, report{})
}
