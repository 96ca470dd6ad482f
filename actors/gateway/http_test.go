package gateway_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
)

// roundTripper is an HTTP service without a network.
type roundTripper func(*http.Request) (*http.Response, error)

func (s roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return s(r) }

func respond(status int, header map[string]string, body string) *http.Response {
	h := http.Header{}
	for k, v := range header {
		h.Set(k, v)
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

func TestHTTPStatuses(t *testing.T) {
	const target = "http://packing.example/wrap"
	for name, c := range map[string]struct {
		status int
		header map[string]string
		body   string
		// want is the name of the result, or transient.
		want  string
		words string
		after time.Duration
	}{
		"200 empty":            {status: 200, want: "done"},
		"204":                  {status: 204, want: "done"},
		"200 reply":            {status: 200, body: `{"done":{"data":{"box":"b-1"}}}`, want: "done", words: "b-1"},
		"200 unknown field":    {status: 200, body: `{"done":{"data":{"box":"b-1"},"size":3},"version":2}`, want: "done", words: "b-1"},
		"200 data":             {status: 200, body: `{"box":"b-1"}`, want: "done", words: "b-1"},
		"200 retry":            {status: 200, body: `{"retry":{"after":"2s","reason":"busy"}}`, want: "retry", words: "busy"},
		"200 rejected":         {status: 200, body: `{"rejected":{"code":"no_paper"}}`, want: "rejected", words: "no_paper"},
		"200 broken reply":     {status: 200, body: `{"rejected":"no paper"}`, want: "transient", words: "cannot be read"},
		"200 null reply":       {status: 200, body: `{"rejected":null}`, want: "transient", words: "no result"},
		"200 page":             {status: 200, header: map[string]string{"Content-Type": "text/html"}, body: "<html>", want: "transient", words: "cannot be read"},
		"200 too large":        {status: 200, body: strings.Repeat(" ", 5000), want: "transient", words: "more than 4096 bytes"},
		"200 nested":           {status: 200, body: strings.Repeat("[", 70) + strings.Repeat("]", 70), want: "transient", words: "nests deeper than 64 levels"},
		"202":                  {status: 202, want: "pending", words: "wrap"},
		"202 reply":            {status: 202, body: `{"pending":{"signal":"wrapped"}}`, want: "pending", words: "wrapped"},
		"202 later":            {status: 202, header: map[string]string{"Retry-After": "60"}, want: "pending", words: "seconds:"},
		"302":                  {status: 302, header: map[string]string{"Location": "http://elsewhere.example/?token=s3cret"}, want: "transient", words: "redirects are not followed"},
		"400":                  {status: 400, want: "rejected", words: "Bad Request"},
		"404 problem":          {status: 404, body: `{"title":"Not Found","detail":"no such paper"}`, want: "rejected", words: "no such paper"},
		"409 text":             {status: 409, header: map[string]string{"Content-Type": "text/plain"}, body: "taken\n\xff", want: "rejected", words: "taken"},
		"409 reply":            {status: 409, body: `{"rejected":{"code":"taken"}}`, want: "rejected", words: "taken"},
		"409 says done":        {status: 409, body: `{"done":{}}`, want: "rejected", words: "409"},
		"422":                  {status: 422, want: "rejected", words: "422"},
		"422 huge":             {status: 422, body: strings.Repeat("x", 9000), want: "rejected", words: "422"},
		"408":                  {status: 408, want: "transient", words: "408"},
		"425":                  {status: 425, want: "transient", words: "425"},
		"429 seconds":          {status: 429, header: map[string]string{"Retry-After": "7"}, want: "transient", after: 7 * time.Second},
		"503 date":             {status: 503, header: map[string]string{"Retry-After": "Sat, 01 Jan 2000 00:01:00 GMT"}, want: "transient", after: time.Minute},
		"503 past date":        {status: 503, header: map[string]string{"Retry-After": "Fri, 31 Dec 1999 00:01:00 GMT"}, want: "transient"},
		"503 nonsense":         {status: 503, header: map[string]string{"Retry-After": "-7"}, want: "transient"},
		"503 for ever":         {status: 503, header: map[string]string{"Retry-After": "99999999"}, want: "transient", after: 24 * time.Hour},
		"503 reply":            {status: 503, body: `{"retry":{"after":"90s","reason":"stocktaking"}}`, want: "transient", words: "stocktaking", after: 90 * time.Second},
		"500 that says done":   {status: 500, body: `{"done":{}}`, want: "transient", words: "Internal Server Error"},
		"599 without a reason": {status: 599, want: "transient", words: "no reason given"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				set := newSet(t, nil, gateway.Config{MaxReply: 4096, Transport: roundTripper(func(*http.Request) (*http.Response, error) {
					return respond(c.status, c.header, c.body), nil
				})})
				reply, err := callAndWait(t, set, call(target))
				if c.want == "transient" {
					f := requireFailure(t, err, messages.Transient, target, c.words)
					if f.RetryAfter != c.after {
						t.Errorf("RetryAfter is %s, want %s", f.RetryAfter, c.after)
					}
					if strings.Contains(err.Error(), "s3cret") {
						t.Errorf("error contains a secret: %v", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if got := result(reply); got != c.want || !strings.Contains(fmt.Sprint(reply), c.words) {
					t.Errorf("got %s, want %s with %q", reply, c.want, c.words)
				}
			})
		})
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var followed atomic.Bool
	mux := http.NewServeMux()
	mux.Handle("/wrap", http.RedirectHandler("/elsewhere", http.StatusTemporaryRedirect))
	mux.HandleFunc("/elsewhere", func(http.ResponseWriter, *http.Request) { followed.Store(true) })
	s := httptest.NewServer(mux)
	defer s.Close()
	_, err := callAndWait(t, newSet(t, nil, gateway.Config{}), call(s.URL+"/wrap"))
	_ = requireFailure(t, err, messages.Transient, "redirects are not followed")
	if followed.Load() {
		t.Error("redirect was followed")
	}
}

func TestErrorsKeepQueriesSecret(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	_, err := callAndWait(t, newSet(t, nil, gateway.Config{}), call(s.URL+"/wrap?token=s3cret"))
	_ = requireFailure(t, err, messages.Transient, "/wrap")
	if strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error contains a secret: %v", err)
	}
}

func TestHTTPConcurrencyPerHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int32
		set := newSet(t, nil, gateway.Config{HTTPConcurrency: 3, Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "slow.example" {
				if n := running.Add(1); n > most.Load() {
					most.Store(n)
				}
				defer running.Add(-1)
				time.Sleep(time.Second)
			}
			return respond(200, nil, ""), nil
		})})
		ended := make(chan error, 10)
		start := time.Now()
		for range 10 {
			set.Do(call("http://slow.example/wrap"), func(_ *messages.StepReply, err error) { ended <- err })
		}
		if _, err := callAndWait(t, set, call("http://fast.example/wrap")); err != nil || time.Since(start) != 0 {
			t.Errorf("another host waited %s: %v", time.Since(start), err)
		}
		for range 10 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(start); most.Load() != 3 || took != 4*time.Second {
			t.Errorf("at most %d ran at once and all took %s, want 3 and 4s", most.Load(), took)
		}
	})
}

func TestTimeoutIncludesWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		set := newSet(t, nil, gateway.Config{HTTPConcurrency: 1, Transport: roundTripper(func(*http.Request) (*http.Response, error) {
			calls.Add(1)
			time.Sleep(3 * time.Second)
			return respond(200, nil, ""), nil
		})})
		ended := make(chan error, 2)
		for range 2 {
			c := call("http://slow.example/wrap")
			c.Step.Timeout = durationpb.New(2 * time.Second)
			set.Do(c, func(_ *messages.StepReply, err error) { ended <- err })
		}
		for range 2 {
			_ = requireFailure(t, <-ended, messages.Transient, "did not answer within 2s")
		}
		set.Close()
		if calls.Load() != 1 {
			t.Errorf("%d calls were made, want 1: the other timed out while it waited", calls.Load())
		}
	})
}

func TestConnectionsAreReused(t *testing.T) {
	var opened atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"done":{}}`))
	}))
	s.Config.ConnState = connCounter(&opened)
	s.Start()
	defer s.Close()
	set := newSet(t, nil, gateway.Config{})
	for range 20 {
		if _, err := callAndWait(t, set, call(s.URL)); err != nil {
			t.Fatal(err)
		}
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("20 calls in a row opened %d connections, want 1", n)
	}
}

func connCounter(opened *atomic.Int32) func(net.Conn, http.ConnState) {
	return func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
}
