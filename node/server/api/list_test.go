package api_test

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/node/server/api"
	"github.com/orderly-engine/orderly/node/server/index"
)

func TestList(t *testing.T) {
	var asked index.Query
	w := &fakeBackend{list: func(q index.Query) (*index.Page, error) {
		asked = q
		until := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		return &index.Page{Orders: []index.Order{{
			OrderID: "o-1", CustomerID: "c-7", Status: "parked", Step: "pay", Reason: "waits", WaitsUntil: &until,
			Total: "19.00", Currency: "EUR", Plan: "order v1", Sequence: 7,
		}}, Next: "abc", Behind: 0.25, Node: "n-1"}, nil
	}}
	base, _ := serve(t, w, api.Config{})
	got := do(t, "GET", base+"/v1/orders?status=parked,attention&status=running&customer=c-7&reason=no%20one&older=1h&newer=24h&limit=7&cursor=xyz", "")
	got.success(t, 200)
	const want = `{"orders":[{"order_id":"o-1","customer_id":"c-7","status":"parked","step":"pay","reason":"waits","waits_until":"2026-01-02T03:04:05Z",` +
		`"total":"19.00","currency":"EUR","plan":"order v1","status_since":"0001-01-01T00:00:00Z","created_at":"0001-01-01T00:00:00Z","updated_at":"0001-01-01T00:00:00Z","sequence":7}],` +
		`"next":"abc","behind":0.25,"node":"n-1"}` + "\n"
	if got.body != want {
		t.Errorf("got  %s\nwant %s", got.body, want)
	}
	if want := (index.Query{
		Status: []string{"parked", "attention", "running"}, Customer: "c-7", Reason: "no one",
		Older: index.Duration(time.Hour), Newer: index.Duration(24 * time.Hour), Limit: 7, Cursor: "xyz",
	}); !reflect.DeepEqual(asked, want) {
		t.Errorf("asked for %+v: want %+v", asked, want)
	}
	w.list = nil
	if got := do(t, "GET", base+"/v1/orders", ""); got.body != `{"orders":[],"behind":0,"node":"n-1"}`+"\n" {
		t.Errorf("no orders are %s", got.body)
	}
}

func TestListRefuses(t *testing.T) {
	w := &fakeBackend{}
	base, _ := serve(t, w, api.Config{})
	for query, want := range map[string]string{
		"limit=0":               "limit is",
		"limit=many":            "want 1–1000",
		"older=soon":            "want a number with its unit",
		"newer=-1h":             "0 or more",
		"customer=a&customer=b": "customer occurs 2 times",
		"state=parked":          ": want status",
		"status=%zz":            "malformed",
		"status=":               "status is empty",
		"status":                "status is empty",
		"status=parked,":        "status is empty",
		"status=parked&status=": "status is empty",
		"customer=":             "customer is empty",
		"reason=":               "reason is empty",
		"reason=&status=parked": "reason is empty",
		"older=":                "older is empty",
		"newer=":                "newer is empty",
		"limit=":                "limit is empty",
		"cursor=":               "cursor is empty",
		"state=":                ": want status",
	} {
		do(t, "GET", base+"/v1/orders?"+query, "").problem(t, http.StatusBadRequest, want)
	}
	w.list = func(index.Query) (*index.Page, error) { return nil, fmt.Errorf("%w: status %q", index.ErrQuery, "x") }
	do(t, "GET", base+"/v1/orders?status=x", "").problem(t, http.StatusBadRequest, "cannot list orders")
	w.list = func(index.Query) (*index.Page, error) { return nil, index.ErrNoNode }
	do(t, "GET", base+"/v1/orders", "").problem(t, http.StatusServiceUnavailable, "ORDERLY_INDEX=on")
	w.list = func(index.Query) (*index.Page, error) { return nil, errors.New("boom") }
	do(t, "GET", base+"/v1/orders", "").problem(t, http.StatusServiceUnavailable, "boom")
	if got := do(t, "PUT", base+"/v1/orders", ""); got.StatusCode != http.StatusMethodNotAllowed || !strings.Contains(got.Header.Get("Allow"), "GET") {
		t.Errorf("PUT: %s, allowed are %s", got.Status, got.Header.Get("Allow"))
	}
}
