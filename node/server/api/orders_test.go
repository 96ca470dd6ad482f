package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/node/server/api"
	"github.com/orderly-engine/orderly/node/timeline"
)

const sample = `{"order_id":"o-1","customer_id":"c-1","items":[{"product_id":"p-1","quantity":2,"unit_price":9.99}],"total_amount":19.98}`

func order(t *testing.T) *messages.OrderCreated {
	t.Helper()
	o, err := messages.DecodeCreated("application/json", []byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestCreate(t *testing.T) {
	w := &fakeBackend{}
	base, _ := serve(t, w, api.Config{})
	wire, err := proto.Marshal(order(t))
	if err != nil {
		t.Fatal(err)
	}
	camel := strings.NewReplacer("order_id", "orderId", "unit_price", "unitPrice").Replace(sample)
	for i, c := range []struct{ contentType, body string }{
		{"application/json", sample},
		{"application/json; charset=utf-8", " \n" + sample},
		{"application/vnd.shop.order+json", sample},
		{"application/json", camel},
		{"", sample},
		{"application/x-www-form-urlencoded", sample}, // curl -d
		{"application/protobuf", string(wire)},
		{"application/x-protobuf", string(wire)},
		{"", string(wire)},
		{"application/json", sample}, // again: harmless
	} {
		header := []string{"Content-Type", c.contentType}
		if c.contentType == "" {
			header = nil
		}
		got := do(t, "POST", base+"/v1/orders", c.body, header...)
		got.success(t, 202, `"order_id":"o-1"`)
		if l := got.Header.Get("Location"); l != "/v1/orders/o-1" {
			t.Errorf("location %q", l)
		}
		if len(w.published) != i+1 {
			t.Fatalf("%d messages after %d requests", len(w.published), i+1)
		}
		o, ok := w.last(t).Body.(*messages.OrderCreated)
		if !ok || w.last(t).OrderID != "o-1" || !messages.SameOrder(o, order(t)) || o.Currency != "USD" {
			t.Errorf("published %+v", w.last(t))
		}
	}
}

func TestCreateRefuses(t *testing.T) {
	w := &fakeBackend{}
	base, _ := serve(t, w, api.Config{})
	large := `{"order_id":"` + strings.Repeat("x", messages.MaxBody) + `"}`
	for _, c := range []struct {
		status            int
		contentType, body string
		words             string
	}{
		{400, "application/json", "", "empty"},
		{400, "application/json", "{", "JSON"},
		{400, "application/json", "[" + sample + "]", "JSON"},
		{400, "application/json", `{"order_idd":"o-1"}`, "order_idd"},
		{400, "application/protobuf", "\xff\xff", "protobuf"},
		{413, "application/json", large, "262144"},
		{415, "text/csv", "o-1,c-1", "text/csv"},
		{415, "multipart/form-data; boundary", "x", "content type"},
		{422, "application/json", `{}`, "order id is missing"},
		{422, "application/json", strings.Replace(sample, "o-1", "o.1", 1), "o.1"},
		{422, "application/json", strings.Replace(sample, "19.98", "20.98", 1), "20.98"},
	} {
		got := do(t, "POST", base+"/v1/orders", c.body, "Content-Type", c.contentType)
		got.problem(t, c.status, c.words)
	}
	if len(w.published) > 0 {
		t.Errorf("published %+v", w.published)
	}

	// All problems at once, each once.
	got := do(t, "POST", base+"/v1/orders", `{"order_id":"a b","items":[{"quantity":0,"unit_price":-1}],"currency":"usd"}`)
	errs := got.problem(t, 422)
	for _, field := range []string{"order id", "customer_id", "items[0].product_id", "items[0].quantity", "items[0].unit_price", "currency"} {
		n := 0
		for _, e := range errs {
			if strings.HasPrefix(e, field) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s is named %d times in %q", field, n, errs)
		}
	}
}

// TestCertainlyNotStored: the response says that a message that was never sent is not stored.
func TestCertainlyNotStored(t *testing.T) {
	w := &fakeBackend{publish: func(context.Context) error { return fmt.Errorf("%w: NATS is unavailable", api.ErrNotStored) }}
	base, _ := serve(t, w, api.Config{})
	for path, body := range map[string]string{"/v1/orders": sample, "/v1/orders/o-1/cancel": ""} {
		got := do(t, "POST", base+path, body)
		if got.problem(t, 503, "o-1: nothing was stored: NATS is unavailable"); got.Header.Get("Retry-After") == "" || strings.Contains(got.body, "certain") {
			t.Errorf("%s: headers %v, body %s", path, got.Header, got.body)
		}
	}
}

func TestCreateNotStored(t *testing.T) {
	w := &fakeBackend{publish: func(context.Context) error { return errors.New("no acknowledgement") }}
	base, _ := serve(t, w, api.Config{})
	got := do(t, "POST", base+"/v1/orders", sample)
	got.problem(t, 503, "may be stored", "no acknowledgement")
	if got.Header.Get("Retry-After") == "" || got.Header.Get("Location") != "" {
		t.Errorf("headers %v", got.Header)
	}
}

func TestRead(t *testing.T) {
	w := &fakeBackend{}
	base, _ := serve(t, w, api.Config{})
	got := do(t, "GET", base+"/v1/orders/o-1", "")
	got.success(t, 200)
	var view timeline.View
	if err := json.Unmarshal([]byte(got.body), &view); err != nil || view.Status != "completed" || len(view.Events) != 3 {
		t.Errorf("%v: %s", err, got.body)
	}
	got = do(t, "GET", base+"/v1/orders/o-1/events", "")
	got.success(t, 200, `"order_id":"o-1"`)
	var story struct {
		Events []timeline.Event `json:"events"`
	}
	if err := json.Unmarshal([]byte(got.body), &story); err != nil || len(story.Events) != 3 || story.Events[2].Kind != "completed" {
		t.Errorf("%v: %s", err, got.body)
	}
	if got := do(t, "HEAD", base+"/v1/orders/o-1", ""); got.StatusCode != 200 || got.body != "" {
		t.Errorf("HEAD: %d %q", got.StatusCode, got.body)
	}

	for _, path := range []string{"/v1/orders/o-2", "/v1/orders/o-2/events"} {
		do(t, "GET", base+path, "").problem(t, 404, "o-2")
	}
	for _, path := range []string{"/v1/orders/o.2", "/v1/orders/a%20b/events", "/v1/orders/" + strings.Repeat("x", 65)} {
		do(t, "GET", base+path, "").problem(t, 400, "order id")
	}
	w.order = func(messages.OrderID) (*timeline.View, error) { return nil, errors.New("no responders") }
	do(t, "GET", base+"/v1/orders/o-1", "").problem(t, 503, "no responders")
	w.order = func(id messages.OrderID) (*timeline.View, error) {
		return &timeline.View{OrderID: string(id), Status: "received"}, nil
	}
	do(t, "GET", base+"/v1/orders/o-1/events", "").success(t, 200, `"events":[]`)
}

func TestActions(t *testing.T) {
	w := &fakeBackend{}
	base, _ := serve(t, w, api.Config{})
	for _, c := range []struct {
		path, body string
		want       proto.Message
	}{
		{"cancel", "", &messages.CancelOrder{}},
		{"cancel", `{"reason":"changed my mind"}`, &messages.CancelOrder{Reason: "changed my mind"}},
		{"retry", "", &messages.RetryOrder{}},
		{"skip", "{}", &messages.SkipStep{}},
	} {
		got := do(t, "POST", base+"/v1/orders/o-1/"+c.path, c.body)
		got.success(t, 202, `"order_id":"o-1"`)
		if last := w.last(t); last.OrderID != "o-1" || !proto.Equal(last.Body, c.want) {
			t.Errorf("%s: published %+v", c.path, last)
		}
	}
	n := len(w.published)
	do(t, "POST", base+"/v1/orders/o-1/cancel", `{"reasn":"x"}`).problem(t, 400, "reasn")
	do(t, "POST", base+"/v1/orders/o-1/retry", `{"x":1}`).problem(t, 400)
	do(t, "POST", base+"/v1/orders/o-1/skip", "x", "Content-Type", "text/csv").problem(t, 415)
	for _, action := range []string{"cancel", "retry", "skip", "signals/paid"} {
		do(t, "POST", base+"/v1/orders/o-2/"+action, "").problem(t, 404, "o-2")
		do(t, "POST", base+"/v1/orders/o.2/"+action, "").problem(t, 400)
	}
	if len(w.published) != n {
		t.Errorf("published %+v", w.published[n:])
	}
}

func TestSignal(t *testing.T) {
	w := &fakeBackend{}
	base, _ := serve(t, w, api.Config{})
	for body, want := range map[string]string{"": "", `{"reference":"p-77"}`: `{"reference":"p-77"}`, `[1,"a",null]`: `[1,"a",null]`, "true": "true", "null": "null", ` "x"`: `"x"`} {
		do(t, "POST", base+"/v1/orders/o-1/signals/payment%20confirmed", body, "Content-Type", "application/json").success(t, 202)
		signal, ok := w.last(t).Body.(*messages.SignalOrder)
		if !ok || signal.Name != "payment confirmed" {
			t.Fatalf("published %+v", w.last(t))
		}
		if want == "" {
			if signal.Data != "" {
				t.Errorf("no body, data %v", signal.Data)
			}
			continue
		}
		if signal.Data != want {
			t.Errorf("data %s, want %s", signal.Data, want)
		}
	}
	n := len(w.published)
	for body, words := range map[string]string{"{": "JSON", "1 2": "JSON", strings.Repeat("[", 200) + strings.Repeat("]", 200): "deeper"} {
		do(t, "POST", base+"/v1/orders/o-1/signals/x", body, "Content-Type", "application/json").problem(t, 400, words)
	}
	do(t, "POST", base+"/v1/orders/o-1/signals/x", "\x01", "Content-Type", "application/protobuf").problem(t, 415)
	do(t, "POST", base+"/v1/orders/o-1/signals/"+strings.Repeat("x", 300), "").problem(t, 400, "name")
	do(t, "POST", base+"/v1/orders/o-1/signals/%ff", "").problem(t, 400, "name")
	if len(w.published) != n {
		t.Errorf("published %+v", w.published[n:])
	}
}

// Every request gets a success and publishes one message, or a problem and publishes none.
func FuzzBody(f *testing.F) {
	for _, path := range []string{"/v1/orders", "/v1/orders/o-1/cancel", "/v1/orders/o-1/retry", "/v1/orders/o-1/signals/x"} {
		f.Add(path, "application/json", []byte(sample))
		f.Add(path, "application/protobuf", []byte("\n\x03o-1"))
		f.Add(path, "text/plain", []byte("{"))
	}
	f.Fuzz(func(t *testing.T, path, contentType string, body []byte) {
		if path != "/v1/orders" && path != "/v1/orders/o-1/cancel" && path != "/v1/orders/o-1/retry" && path != "/v1/orders/o-1/signals/x" {
			path = "/v1/orders"
		}
		w := &fakeBackend{}
		a, err := api.New(api.Deps{Health: w, Publisher: w, Orders: w, Lister: w, Metrics: http.NotFoundHandler()}, api.Config{})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(string(body)))
		r.Host = "localhost"
		r.Header["Content-Type"] = []string{contentType}
		answer := httptest.NewRecorder()
		a.Handler().ServeHTTP(answer, r)
		switch {
		case answer.Code == 202 && len(w.published) == 1:
			if _, err := proto.Marshal(w.published[0].Body); err != nil {
				t.Errorf("a message that cannot be published: %v", err)
			}
		case answer.Code >= 400 && answer.Code < 500 && len(w.published) == 0 && answer.Header().Get("Content-Type") == "application/problem+json":
		default:
			t.Errorf("%d with %d messages: %s", answer.Code, len(w.published), answer.Body)
		}
	})
}

// A dry run publishes nothing.
func TestCancelDryRun(t *testing.T) {
	w := &fakeBackend{}
	base, _ := serve(t, w, api.Config{})
	do(t, "POST", base+"/v1/orders/o-1/cancel?dry_run=1", "").success(t, 200, `"order_id":"o-1"`, `"effect":`, `"undoes":[]`)
	do(t, "POST", base+"/v1/orders/o-2/cancel?dry_run=true", "").problem(t, 404, "o-2")
	do(t, "POST", base+"/v1/orders/o.2/cancel?dry_run=true", "").problem(t, 400)
	do(t, "POST", base+"/v1/orders/o-1/cancel?dry_run=maybe", "").problem(t, 400, "want true or false")
	if len(w.published) != 0 {
		t.Errorf("published %+v", w.published)
	}
	do(t, "POST", base+"/v1/orders/o-1/cancel?dry_run=false", "").success(t, 202)
	if len(w.published) != 1 {
		t.Errorf("published %+v", w.published)
	}
}
