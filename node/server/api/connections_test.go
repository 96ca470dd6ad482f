package api_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/server/api"
	"github.com/orderly-engine/orderly/node/server/telemetry"
	"github.com/orderly-engine/orderly/node/timeline"
)

// dial connects from a loopback address.
func dial(t *testing.T, base, from string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.DialContext(t.Context(), "tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// clientAt sends its requests from a loopback address.
func clientAt(t *testing.T, from string) *http.Client {
	transport := &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func status(t *testing.T, c *http.Client, method, url, body string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	return answer.StatusCode
}

// TestWaitingConnectionsGiveWay: clients that open connections and send nothing, or a part of a request, keep nobody out, whether
// they have one address or several; a stream is not cut for them.
func TestWaitingConnectionsGiveWay(t *testing.T) {
	const limit = 128
	next, gone := make(chan []timeline.Event), make(chan struct{})
	w := &fakeBackend{follow: live(next, gone)}
	base, a := serve(t, w, api.Config{MaxConnections: limit, BodyTimeout: patience, Heartbeat: 5 * time.Millisecond})
	lines, _ := open(t, base)
	until(t, lines, ": following")
	for i := range 4 * limit {
		c := dial(t, base, fmt.Sprintf("127.0.0.%d", 2+i%3))
		switch i % 4 {
		case 1:
			fmt.Fprint(c, "GET /livez HTTP/1.1\r\n")
		case 2:
			fmt.Fprint(c, "POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
		case 3:
			fmt.Fprint(c, "GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
		}
		if n := a.Connections(); n > limit {
			t.Fatalf("%d connections", n)
		}
	}
	for _, from := range []string{"127.0.0.1", "127.0.0.2"} {
		c := clientAt(t, from)
		for range 3 {
			if got := status(t, c, "POST", base+"/v1/orders", sample); got != 202 {
				t.Errorf("from %s: %d", from, got)
			}
		}
	}
	until(t, lines, ": alive")
	next <- storedEvents[:1]
	until(t, lines, "event: accepted")
	close(next)
	<-gone
}

// TestConnectionsOfOneClient: one client's connections push out its own only.
func TestConnectionsOfOneClient(t *testing.T) {
	const limit = 128
	base, a := serve(t, &fakeBackend{}, api.Config{MaxConnections: limit})
	neighbor := clientAt(t, "127.0.0.2")
	opened := 0
	neighbor.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		opened++
		return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.2")}}).DialContext(ctx, network, addr)
	}
	status(t, neighbor, "GET", base+"/livez", "")
	for range 2 * limit {
		dial(t, base, "127.0.0.1")
	}
	asHost(t, base, "localhost", "GET", "/livez", "", "").success(t, 200) // accepted after the others
	if n := a.Connections(); n > limit/2+1 {
		t.Errorf("%d connections", n)
	}
	if got := status(t, neighbor, "GET", base+"/livez", ""); got != 200 || opened != 1 {
		t.Errorf("%d over %d connections", got, opened)
	}
}

// TestClosedConnectionsAreCountedOut: connections that ended leave room.
func TestClosedConnectionsAreCountedOut(t *testing.T) {
	base, a := serve(t, &fakeBackend{}, api.Config{})
	for range 10 {
		c := clientAt(t, "127.0.0.1")
		status(t, c, "GET", base+"/livez", "")
		c.CloseIdleConnections()
	}
	natstest.Within(t, patience, "no connections", func() bool { return a.Connections() == 0 })
}

// TestRequestsOfOneClient: one client cannot take all slots for requests, and learns why.
func TestRequestsOfOneClient(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	w := &fakeBackend{publish: func(context.Context) error { entered <- struct{}{}; <-leave; return nil }}
	base, _ := serve(t, w, api.Config{MaxRequests: 4})
	var wait sync.WaitGroup
	for range 2 {
		wait.Go(func() { do(t, "POST", base+"/v1/orders", sample).success(t, 202) })
		<-entered
	}
	got := do(t, "POST", base+"/v1/orders", sample)
	got.problem(t, 429, "one client address", "at most 2")
	if got.Header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After %q", got.Header.Get("Retry-After"))
	}
	do(t, "GET", base+"/livez", "").success(t, 200)
	other := clientAt(t, "127.0.0.2")
	wait.Go(func() {
		if got := status(t, other, "POST", base+"/v1/orders", sample); got != 202 {
			t.Errorf("another client: %d", got)
		}
	})
	<-entered
	close(leave)
	wait.Wait()
}

// TestScrapesAreBounded: metrics cost more than probes, and one client cannot keep others from them.
func TestScrapesAreBounded(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	w := &fakeBackend{}
	metrics := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { entered <- struct{}{}; <-leave })
	a := newAPI(t, w, metrics, api.Config{})
	start(t, a)
	base := "http://" + a.Addr()
	var wait sync.WaitGroup
	for range api.MaxScrapes / 2 {
		wait.Go(func() { do(t, "GET", base+"/metrics", "") })
		<-entered
	}
	do(t, "GET", base+"/metrics", "").problem(t, 429, "metrics")
	do(t, "GET", base+"/livez", "").success(t, 200)
	other := clientAt(t, "127.0.0.2")
	wait.Go(func() {
		if got := status(t, other, "GET", base+"/metrics", ""); got != 200 {
			t.Errorf("another client: %d", got)
		}
	})
	<-entered
	close(leave)
	wait.Wait()
}

// TestRefusalsAreCounted: each reason has its count, and the log has no line per refusal.
func TestRefusalsAreCounted(t *testing.T) {
	tel, err := telemetry.Setup(t.Context(), telemetry.Config{NodeID: "n"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tel.Shutdown(context.Background()) }()
	next, gone := make(chan []timeline.Event), make(chan struct{})
	w := &fakeBackend{follow: live(next, gone)}
	var out syncBuffer
	base, _ := serve(t, w, api.Config{Logger: slog.New(slog.NewJSONHandler(&out, nil)), Meter: tel.Meter(), MaxConnections: 128, MaxStreams: 1, MaxRequests: 2, BodyTimeout: 50 * time.Millisecond, Heartbeat: 5 * time.Millisecond})
	asHost(t, base, "evil.example", "GET", "/livez", "", "").problem(t, 421)
	do(t, "POST", base+"/v1/orders", sample, "Sec-Fetch-Site", "cross-site").problem(t, 403)
	slowly(t, base, 100).response(t).problem(t, 408)
	lines, _ := open(t, base)
	until(t, lines, ": following")
	do(t, "GET", base+"/v1/orders/o-1/events", "", "Accept", accept).problem(t, 503)
	entered, leave := make(chan struct{}), make(chan struct{})
	w.publish = func(context.Context) error { close(entered); <-leave; return nil }
	var wait sync.WaitGroup
	wait.Go(func() { do(t, "POST", base+"/v1/orders", sample).success(t, 202) })
	<-entered
	do(t, "GET", base+"/v1/orders/o-1", "").problem(t, 429)
	close(leave)
	wait.Wait()
	close(next)
	<-gone
	for range 65 {
		dial(t, base, "127.0.0.2")
	}
	natstest.Within(t, patience, "all reasons in the metrics", func() bool {
		answer := newRecorder()
		tel.MetricsHandler().ServeHTTP(answer, httpRequest("/metrics"))
		for _, reason := range []string{"host", "cross_origin", "slow_body", "node_limit", "client_limit", "connection"} {
			if !strings.Contains(answer.Body.String(), fmt.Sprintf(`orderly_api_refused_total{reason=%q} 1`, reason)) {
				return false
			}
		}
		return true
	})
	if strings.Contains(out.String(), "refused") {
		t.Errorf("refusals in the log:\n%s", &out)
	}
}

// TestSlotsFitIntoConnections: otherwise every connection could be busy, and no new one be accepted.
func TestSlotsFitIntoConnections(t *testing.T) {
	w := &fakeBackend{}
	for _, cfg := range []api.Config{{MaxConnections: 64}, {MaxConnections: 128, MaxRequests: 100}, {MaxConnections: -1}, {BodyTimeout: -1}} {
		if _, err := api.New(api.Deps{Health: w, Publisher: w, Orders: w, Lister: w, Metrics: http.NotFoundHandler()}, cfg); err == nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
	if err := (api.Config{MaxConnections: 128}).Validate(); err != nil {
		t.Errorf("the fewest connections of a default: %v", err)
	}
}

func TestClientOf(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:80": "192.0.2.1", "[::ffff:192.0.2.1]:80": "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1:2::", "[2001:db8:1:2::1]:9": "2001:db8:1:2::", "[2001:db8:1:3::1]:9": "2001:db8:1:3::",
		"[fe80::1%eth0]:9": "fe80::", "@": "invalid IP",
	} {
		if got := api.ClientOf(remote).String(); got != want {
			t.Errorf("%s: %s, want %s", remote, got, want)
		}
	}
}
