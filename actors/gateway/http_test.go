package gateway_test

import (
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
		var inDoubt int
		for range 2 {
			if f := requireFailure(t, <-ended, messages.Transient, "did not answer within 2s"); f.InDoubt {
				inDoubt++
			}
		}
		if inDoubt != 1 {
			t.Errorf("%d calls are in doubt, want the one that was made", inDoubt)
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
