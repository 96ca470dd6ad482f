package gateway_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// relay forwards connections to a server, and can stop forwarding on those that exist, as a peer does that vanishes without a
// word.
type relay struct {
	net.Listener
	server string

	mu     sync.Mutex
	opened int
	silent []chan struct{} // of each connection
	ended  sync.WaitGroup
}

func newRelay(t *testing.T, server string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: l, server: server}
	r.ended.Go(r.run)
	t.Cleanup(func() {
		_ = l.Close()
		r.ended.Wait()
	})
	return r
}

func (r *relay) run() {
	for {
		client, err := r.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", r.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		silent := make(chan struct{})
		r.mu.Lock()
		r.opened++
		r.silent = append(r.silent, silent)
		r.mu.Unlock()
		r.ended.Go(func() { forward(server, client, silent) })
		r.ended.Go(func() { forward(client, server, silent) })
	}
}

// forward copies until an end closes. Once silent is closed, it drops what it reads.
func forward(to, from net.Conn, silent <-chan struct{}) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		select {
		case <-silent:
		default:
			if err == nil {
				_, err = to.Write(b[:n])
			}
		}
		if err != nil {
			_, _ = to.Close(), from.Close()
			return
		}
	}
}

// blackhole stops forwarding on the connections that exist.
func (r *relay) blackhole() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, silent := range r.silent {
		close(silent)
	}
	r.silent = nil
}

func (r *relay) connections() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.opened
}

// tlsServer serves HTTP/2, or only HTTP/1, with certificates of its own. The directory has it as payments, behind a relay.
func tlsServer(t *testing.T, http2 bool, h http.Handler) (*gateway.Set, *relay) {
	t.Helper()
	certificates := natstest.NewCertificates(t)
	s := httptest.NewUnstartedServer(h)
	s.TLS, s.EnableHTTP2 = certificates.Server(t, false), http2
	s.StartTLS()
	t.Cleanup(s.Close)
	r := newRelay(t, s.Listener.Addr().String())
	d := directoryWith(t, map[string]string{"ca.pem": string(certificates.CA)}, "payments: {url: 'https://"+r.Addr().String()+"', tls: {ca: ca.pem}}")
	return newSet(t, nil, gateway.Config{Directory: d}), r
}

func withTimeout(c *gateway.Call, d time.Duration) *gateway.Call {
	c.Step.Timeout = durationpb.New(d)
	return c
}

// TestDeadConnectionIsNotUsedAgain: a peer vanishes without a word. The calls in flight time out; the call after a time-out does
// not wait on a connection of that time, neither on the one that HTTP/2 shares nor on the other idle ones of HTTP/1.
func TestDeadConnectionIsNotUsedAgain(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP/1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			var protocol atomic.Int32
			release := make(chan struct{})
			var arrived sync.WaitGroup
			arrived.Add(4)
			set, r := tlsServer(t, http2, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				protocol.Store(int32(req.ProtoMajor))
				if strings.HasSuffix(req.URL.Path, "/together") {
					arrived.Done()
					<-release
				}
				_, _ = io.WriteString(w, `{"done":{}}`)
			}))
			// Open connections: one, or four with HTTP/1.
			ended := make(chan error, 4)
			for range 4 {
				set.Do(withTimeout(call("payments/together"), natstest.Patience), func(_ *messages.StepReply, err error) { ended <- err })
			}
			arrived.Wait()
			close(release)
			for range 4 {
				if err := natstest.Receive(t, ended, "the end of the call"); err != nil {
					t.Fatal(err)
				}
			}
			if want := map[bool]int32{false: 1, true: 2}[http2]; protocol.Load() != want {
				t.Fatalf("served HTTP/%d, want %d", protocol.Load(), want)
			}
			r.blackhole()
			_, err := callAndWait(t, set, withTimeout(call("payments/wrap"), 200*time.Millisecond))
			_ = requireFailure(t, err, messages.Transient, "did not answer within 200ms")
			before := r.connections()
			if _, err := callAndWait(t, set, withTimeout(call("payments/wrap"), natstest.Patience/2)); err != nil {
				t.Errorf("the call after the time-out: %v", err)
			}
			if r.connections() == before {
				t.Error("no connection was opened after the time-out")
			}
		})
	}
}

// TestTrialUsesAnotherConnection: the connection in use is alive, and its server answers no call on it any more. The calls of a
// circuit that is half open find that the service is back, and those that follow use their connection.
func TestTrialUsesAnotherConnection(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP/1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			var first atomic.Value
			over := make(chan struct{})
			defer close(over)
			set, r := tlsServer(t, http2, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if !first.CompareAndSwap(nil, req.RemoteAddr) && first.Load() == req.RemoteAddr {
					w.WriteHeader(http.StatusProcessing) // something arrives: the connection is alive
					<-over
					return
				}
				_, _ = io.WriteString(w, `{"done":{}}`)
			}))
			if _, err := callAndWait(t, set, call("payments/wrap")); err != nil {
				t.Fatal(err)
			}
			_, err := callAndWait(t, set, withTimeout(call("payments/wrap"), 200*time.Millisecond))
			_ = requireFailure(t, err, messages.Transient, "did not answer within 200ms")
			if http2 && r.connections() != 1 {
				t.Fatalf("%d connections were opened, want 1: it is alive", r.connections())
			}
			trial := withTimeout(call("payments/wrap"), natstest.Patience/2)
			trial.Trial = true
			if _, err := callAndWait(t, set, trial); err != nil {
				t.Errorf("the trial: %v", err)
			}
			if _, err := callAndWait(t, set, withTimeout(call("payments/wrap"), natstest.Patience/2)); err != nil {
				t.Errorf("the call after the trial: %v", err)
			}
			if n := r.connections(); n != 2 {
				t.Errorf("%d connections were opened, want 2", n)
			}
		})
	}
}

// TestSlowServiceKeepsItsConnection: a time-out alone is no sign of a dead connection. While other answers arrive on it, an
// HTTP/2 connection stays, and so do the calls in flight.
func TestSlowServiceKeepsItsConnection(t *testing.T) {
	release := make(chan struct{})
	arrived := make(chan struct{}, 2)
	set, r := tlsServer(t, true, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasSuffix(req.URL.Path, "/slow") {
			arrived <- struct{}{}
			<-release
		}
		_, _ = io.WriteString(w, `{"done":{}}`)
	}))
	if _, err := callAndWait(t, set, call("payments/wrap")); err != nil {
		t.Fatal(err)
	}
	slow, timedOut := make(chan error, 1), make(chan error, 1)
	set.Do(withTimeout(call("payments/slow"), natstest.Patience), func(_ *messages.StepReply, err error) { slow <- err })
	natstest.Receive(t, arrived, "the slow call")
	set.Do(withTimeout(call("payments/slow"), 2*time.Second), func(_ *messages.StepReply, err error) { timedOut <- err })
	natstest.Receive(t, arrived, "the call that times out")
	if _, err := callAndWait(t, set, call("payments/wrap")); err != nil {
		t.Fatal(err)
	}
	_ = requireFailure(t, natstest.Receive(t, timedOut, "the time-out"), messages.Transient, "did not answer")
	if _, err := callAndWait(t, set, call("payments/wrap")); err != nil {
		t.Fatal(err)
	}
	close(release)
	if err := natstest.Receive(t, slow, "the end of the slow call"); err != nil {
		t.Error(err)
	}
	if n := r.connections(); n != 1 {
		t.Errorf("%d connections were opened, want 1", n)
	}
}

// TestCallsInFlightOutliveTheirConnections: connections that are retired serve the calls in flight to their end.
func TestCallsInFlightOutliveTheirConnections(t *testing.T) {
	release := make(chan struct{})
	arrived := make(chan struct{}, 1)
	set, r := tlsServer(t, true, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case strings.HasSuffix(req.URL.Path, "/long"):
			arrived <- struct{}{}
			<-release
		case strings.HasSuffix(req.URL.Path, "/never"):
			<-req.Context().Done()
		}
		_, _ = io.WriteString(w, `{"done":{}}`)
	}))
	long := make(chan error, 1)
	set.Do(withTimeout(call("payments/long"), natstest.Patience), func(_ *messages.StepReply, err error) { long <- err })
	natstest.Receive(t, arrived, "the long call")
	natstest.Eventually(t, "another connection", func() bool {
		_, err := callAndWait(t, set, withTimeout(call("payments/never"), 50*time.Millisecond))
		_ = requireFailure(t, err, messages.Transient, "did not answer")
		return r.connections() > 1
	})
	if _, err := callAndWait(t, set, call("payments/wrap")); err != nil {
		t.Error(err)
	}
	close(release)
	if err := natstest.Receive(t, long, "the end of the long call"); err != nil {
		t.Error(err)
	}
}

// TestNoProxyOfTheEnvironment: only a proxy that the file names is used.
func TestNoProxyOfTheEnvironment(t *testing.T) {
	var proxied atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proxied.Add(1)
		if r.URL.Host != "pay.example" || r.Header.Get("Authorization") != "" {
			t.Errorf("the proxy got %s with %v", r.URL, r.Header)
		}
		_, _ = io.WriteString(w, `{"done":{}}`)
	}))
	defer proxy.Close()
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	d := directoryWith(t, nil, "payments: {url: 'http://pay.example', proxy: '"+proxy.URL+"'}\nstock: {url: 'http://stock.invalid'}")
	set := newSet(t, nil, gateway.Config{Directory: d})
	if _, err := callAndWait(t, set, call("payments/wrap")); err != nil || proxied.Load() != 1 {
		t.Errorf("%v, %d calls through the proxy", err, proxied.Load())
	}
	_, err := callAndWait(t, set, withTimeout(call("stock/wrap"), time.Second))
	_ = requireFailure(t, err, messages.Transient)
	if proxied.Load() != 1 {
		t.Error("the proxy of the environment was used")
	}
}

// TestConcurrencyOfADownstream: as many calls run at a time as the limits of the downstream allow, also more than the default.
func TestConcurrencyOfADownstream(t *testing.T) {
	var running atomic.Int32
	all := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the context of a request ends with the connection only then
		if n := running.Add(1); n == 5 {
			close(all)
		}
		select {
		case <-all:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, `{"done":{}}`)
	}))
	defer s.Close()
	d := directoryWith(t, nil, "payments: {url: '"+s.URL+"', limits: {concurrency: 5}}")
	set := newSet(t, nil, gateway.Config{HTTPConcurrency: 2, Directory: d})
	ended := make(chan error, 5)
	for range 5 {
		set.Do(withTimeout(call("payments/wrap"), natstest.Patience), func(_ *messages.StepReply, err error) { ended <- err })
	}
	for range 5 {
		if err := natstest.Receive(t, ended, "the end of the call"); err != nil {
			t.Error(err)
		}
	}
}
