package api_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/orderly-engine/orderly/node/server/api"
)

// TestHost: a node answers under its own names only, probes and metrics included, so that a web site whose name points to the
// node's address cannot use a visitor's browser.
func TestHost(t *testing.T) {
	w := &fakeBackend{}
	base, a := serve(t, w, api.Config{Hosts: []string{"Orders.example", "192.0.2.7", "2001:db8::7"}})
	_, port, _ := net.SplitHostPort(a.Addr())
	evil := []string{
		"evil.example", "evil.example:" + port, "localhost.evil.example", "127.0.0.1.evil.example", "orders.example.evil.example",
		"evil-localhost", "192.0.2.8", "10.0.0.1:" + port, "[2001:db8::8]", "0.0.0.0", "[::]", "::1:evil", ".", "",
	}
	own := []string{
		"localhost", "LOCALHOST:1", "localhost.", "127.0.0.1", "127.0.0.1.", "127.9.9.9:" + port, "[::1]:" + port, "[::ffff:127.0.0.1]",
		"orders.example", "orders.EXAMPLE.:443", "192.0.2.7:80", "[2001:db8::7]",
	}
	requests := []struct{ method, path, body string }{
		{"GET", "/livez", ""}, {"GET", "/readyz", ""}, {"GET", "/health", ""}, {"GET", "/metrics", ""},
		{"GET", "/v1/orders", ""}, {"GET", "/v1/orders/o-1", ""}, {"GET", "/v1/orders/o-1/events", ""},
		{"POST", "/v1/orders", sample}, {"POST", "/v1/orders/o-1/cancel", ""}, {"POST", "/v1/orders/o-1/retry", ""},
		{"POST", "/v1/orders/o-1/skip", ""}, {"POST", "/v1/orders/o-1/signals/paid", ""}, {"GET", "/nowhere", ""},
	}
	for _, q := range requests {
		for _, host := range evil {
			if host != "" {
				// The browser believes that the request stays on one site.
				asHost(t, base, host, q.method, q.path, q.body, "Origin: http://"+host+"\r\nSec-Fetch-Site: same-origin\r\n").
					problem(t, 421, "ORDERLY_HTTP_HOST_NAMES")
			}
		}
		for _, host := range own {
			if got := asHost(t, base, host, q.method, q.path, q.body, ""); got.StatusCode == 421 {
				t.Errorf("%s %s with host %q: %s", q.method, q.path, host, got.body)
			}
		}
	}
	w.published = nil
	for _, host := range evil {
		asHost(t, base, host, "POST", "/v1/orders", sample, "").problem(t, 421)
	}
	if len(w.published) > 0 {
		t.Errorf("published %+v", w.published)
	}
}

// TestHostOfLocalEnd: probes name the address at which they reach the node.
func TestHostOfLocalEnd(t *testing.T) {
	const end = "192.0.2.10"
	w := &fakeBackend{}
	a, err := api.New(api.Deps{Health: w, Publisher: w, Orders: w, Lister: w, Metrics: http.NotFoundHandler()}, api.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for host, status := range map[string]int{end: 200, end + ":8080": 200, "192.0.2.11": 421, "evil.example": 421} {
		r := httpRequest("/livez")
		r.Host = host
		answer := newRecorder()
		a.Handler().ServeHTTP(answer, r.WithContext(withLocalEnd(r.Context(), end)))
		if answer.Code != status {
			t.Errorf("host %s: %d, want %d", host, answer.Code, status)
		}
	}
}

// asHost sends a request with any Host.
func asHost(t *testing.T, base, host, method, path, body, headers string) reply {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%sContent-Length: %d\r\n\r\n%s", method, path, host, headers, len(body), body)
	return slowBody{c, bufio.NewReader(c)}.response(t)
}
