package api_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/server/api"
	"github.com/orderly-engine/orderly/node/server/telemetry"
	"github.com/orderly-engine/orderly/node/timeline"
)

func TestProbes(t *testing.T) {
	w := &fakeBackend{}
	base, _ := serve(t, w, api.Config{})
	do(t, "GET", base+"/health", "").success(t, 200, `"healthy","room_bytes":1048576`)
	do(t, "GET", base+"/livez", "").success(t, 200)
	do(t, "GET", base+"/readyz", "").success(t, 200)
	if got := do(t, "GET", base+"/metrics", ""); got.StatusCode != 200 || got.body != "up 1\n" {
		t.Errorf("metrics: %d %q", got.StatusCode, got.body)
	}

	w.mu.Lock()
	w.unhealthy, w.ready = errors.New("journal: no space left on device"), errors.New("draining")
	w.mu.Unlock()
	do(t, "GET", base+"/health", "").problem(t, 503, "not healthy: journal: no space left on device")
	do(t, "GET", base+"/readyz", "").problem(t, 503, "draining")
	do(t, "GET", base+"/livez", "").success(t, 200)

	w.mu.Lock()
	w.dead = errors.New("the store could not be reopened")
	w.mu.Unlock()
	do(t, "GET", base+"/livez", "").problem(t, 503, "a restart would help: the store could not be reopened")
}

func TestUnknownRoutes(t *testing.T) {
	base, _ := serve(t, &fakeBackend{}, api.Config{})
	for _, path := range []string{"/", "/v1", "/v1/orders/o-1/unknown", "/v2/orders"} {
		do(t, "GET", base+path, "").problem(t, 404)
	}
	for target, allow := range map[string]string{
		"DELETE /v1/orders/o-1": "GET", "PUT /v1/orders": "POST", "GET /v1/orders/o-1/cancel": "POST", "POST /health": "GET", "PUT /metrics": "GET",
	} {
		method, path, _ := strings.Cut(target, " ")
		got := do(t, method, base+path, "")
		got.problem(t, 405, method)
		if !strings.Contains(got.Header.Get("Allow"), allow) {
			t.Errorf("%s: allow %q", target, got.Header.Get("Allow"))
		}
	}
}

func TestAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w := &fakeBackend{}
	a, err := api.New(api.Deps{Health: w, Publisher: w, Orders: w, Lister: w, Metrics: http.NotFoundHandler()}, api.Config{Addr: l.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	err = a.Start(func(err error) { t.Errorf("serving failed: %v", err) })
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()) || !strings.Contains(err.Error(), "ORDERLY_HTTP_ADDR") {
		t.Errorf("got %v", err)
	}
	if err := a.Shutdown(t.Context()); err != nil {
		t.Errorf("shutdown of what never started: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	w := &fakeBackend{}
	if _, err := api.New(api.Deps{Health: w, Publisher: w, Orders: w, Lister: w}, api.Config{}); err == nil {
		t.Error("no metrics, and no error")
	}
	for _, cfg := range []api.Config{{MaxRequests: -1}, {Timeout: time.Hour}} {
		if _, err := api.New(api.Deps{Health: w, Publisher: w, Orders: w, Lister: w, Metrics: http.NotFoundHandler()}, cfg); err == nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
}

// A request beyond the limit is refused at once, and probes still answer.
func TestTooManyRequests(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	w := &fakeBackend{publish: func(context.Context) error { entered <- struct{}{}; <-leave; return nil }}
	base, _ := serve(t, w, api.Config{MaxRequests: 1})
	var wait sync.WaitGroup
	wait.Go(func() { do(t, "POST", base+"/v1/orders", sample).success(t, 202) })
	<-entered
	got := do(t, "POST", base+"/v1/orders", sample)
	got.problem(t, 503, "too many")
	if got.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	do(t, "GET", base+"/health", "").success(t, 200)
	close(leave)
	wait.Wait()
	wait.Go(func() { <-entered })
	do(t, "POST", base+"/v1/orders", sample).success(t, 202)
	wait.Wait()
}

func TestTimeout(t *testing.T) {
	w := &fakeBackend{publish: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
	base, _ := serve(t, w, api.Config{Timeout: 10 * time.Millisecond})
	do(t, "POST", base+"/v1/orders", sample).problem(t, 503, "may be stored", "o-1")
}

func TestPanic(t *testing.T) {
	var out syncBuffer
	w := &fakeBackend{order: func(messages.OrderID) (*timeline.View, error) { panic("boom") }}
	base, _ := serve(t, w, api.Config{Logger: slog.New(slog.NewJSONHandler(&out, nil)), MaxRequests: 1})
	for range 2 { // the token is given back
		do(t, "GET", base+"/v1/orders/o-1", "").problem(t, 500)
	}
	for _, word := range []string{`"msg":"request panicked"`, "boom", "api_test.go"} {
		if !strings.Contains(out.String(), word) {
			t.Errorf("no %q in the log:\n%s", word, &out)
		}
	}
}

func TestCrossOrigin(t *testing.T) {
	base, _ := serve(t, &fakeBackend{}, api.Config{})
	do(t, "POST", base+"/v1/orders", sample, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example").problem(t, 403)
	do(t, "POST", base+"/v1/orders", sample, "Sec-Fetch-Site", "same-origin").success(t, 202)
}

// Shutdown waits for requests, and cuts off those that do not end.
func TestShutdown(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	w := &fakeBackend{publish: func(context.Context) error { entered <- struct{}{}; <-leave; return nil }}
	base, a := serve(t, w, api.Config{})
	var wait sync.WaitGroup
	wait.Go(func() { do(t, "POST", base+"/v1/orders", sample).success(t, 202) })
	<-entered
	wait.Go(func() {
		if err := a.Shutdown(context.Background()); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	natstest.Within(t, patience, "no more connections", func() bool {
		c, err := net.Dial("tcp", a.Addr())
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	close(leave)
	wait.Wait()
}

func TestShutdownCutsOff(t *testing.T) {
	entered := make(chan struct{})
	w := &fakeBackend{publish: func(ctx context.Context) error { close(entered); <-ctx.Done(); return ctx.Err() }}
	base, a := serve(t, w, api.Config{Timeout: 20 * time.Second})
	var wait sync.WaitGroup
	wait.Go(func() {
		answer, err := http.Post(base+"/v1/orders", "application/json", strings.NewReader(sample))
		if err == nil {
			_ = answer.Body.Close()
			t.Errorf("answered %s", answer.Status)
		}
	})
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := a.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	wait.Wait()
}

// The caller's trace continues in the message; metrics have the route and not the order.
func TestTelemetry(t *testing.T) {
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	tel, err := telemetry.Setup(t.Context(), telemetry.Config{NodeID: "n"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tel.Shutdown(context.Background()) }()
	w := &fakeBackend{}
	base, _ := serve(t, w, api.Config{Tracer: tel.Tracer(), Meter: tel.Meter()})
	do(t, "POST", base+"/v1/orders", sample, "traceparent", parent, "tracestate", "vendor=a").success(t, 202)
	if got := w.last(t); got.Traceparent != parent || got.Tracestate != "vendor=a" {
		t.Errorf("published with %q, %q", got.Traceparent, got.Tracestate)
	}
	do(t, "GET", base+"/v1/orders/o-404", "").problem(t, 404)

	answer := newRecorder()
	tel.MetricsHandler().ServeHTTP(answer, httpRequest("/metrics"))
	for _, line := range []string{
		`http_server_request_duration_seconds_count{http_request_method="POST",http_response_status_code="202",http_route="/v1/orders"} 1`,
		`http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="404",http_route="/v1/orders/{id}"} 1`,
	} {
		if !strings.Contains(answer.Body.String(), line) {
			t.Errorf("no %s", line)
		}
	}
	if strings.Contains(answer.Body.String(), "o-404") {
		t.Error("an order id in the metrics")
	}
}

// syncBuffer is written by the server's goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}
func (s *syncBuffer) String() string { s.mu.Lock(); defer s.mu.Unlock(); return s.b.String() }

// patience is how long a test waits for a condition.
const patience = 30 * time.Second
