package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/orderly-engine/orderly/messages/natstest"
)

// proxy forwards to a NATS server, and can stop forwarding or close.
type proxy struct {
	listener net.Listener
	to       string
	silent   chan struct{}
	mute     func()
	work     sync.WaitGroup

	mu    sync.Mutex
	ended bool
	conns []net.Conn
	// over is closed by cut.
	over chan struct{}
}

// newProxy forwards to the server with the URL.
func newProxy(t *testing.T, url string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tn := &proxy{listener: l, to: strings.TrimPrefix(url, "nats://"), silent: make(chan struct{}), over: make(chan struct{})}
	// From then on clients can connect but get no data, as from a server that was stopped by SIGSTOP.
	tn.mute = sync.OnceFunc(func() { close(tn.silent) })
	tn.work.Go(func() {
		for near, err := l.Accept(); err == nil; near, err = l.Accept() {
			far, err := net.Dial("tcp", tn.to)
			if err != nil {
				_ = near.Close()
				continue
			}
			if tn.add(near, far) {
				tn.work.Go(func() { tn.forward(far, near) })
				tn.work.Go(func() { tn.forward(near, far) })
			}
		}
	})
	t.Cleanup(func() { tn.cut(); tn.work.Wait() })
	return tn
}

func (tn *proxy) url() string { return "nats://" + tn.listener.Addr().String() }

func (tn *proxy) add(conns ...net.Conn) bool {
	tn.mu.Lock()
	defer tn.mu.Unlock()
	if !tn.ended {
		tn.conns = append(tn.conns, conns...)
		return true
	}
	for _, c := range conns {
		_ = c.Close()
	}
	return false
}

func (tn *proxy) used() bool {
	tn.mu.Lock()
	defer tn.mu.Unlock()
	return len(tn.conns) > 0
}

func (tn *proxy) forward(to, from net.Conn) {
	defer to.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		select {
		case <-tn.silent: // and nothing is read any more
			<-tn.over
			return
		default:
		}
		if _, wrong := to.Write(buf[:n]); err != nil || wrong != nil {
			return
		}
	}
}

// drop closes the current connections.
func (tn *proxy) drop() {
	tn.mu.Lock()
	defer tn.mu.Unlock()
	for _, c := range tn.conns {
		_ = c.Close()
	}
}

// cut closes the listener and all connections.
func (tn *proxy) cut() {
	tn.mu.Lock()
	defer tn.mu.Unlock()
	if tn.ended {
		return
	}
	tn.ended = true
	close(tn.over)
	_ = tn.listener.Close()
	for _, c := range tn.conns {
		_ = c.Close()
	}
}

// lostNode is a node in its own process with a running order, connected through a proxy.
type lostNode struct {
	*spawned
	proxy   *proxy
	environ []string
	direct  *process
	open    func()
}

func startLostNode(t *testing.T, drain string) *lostNode {
	t.Helper()
	url := natstest.Start(t).ClientURL()
	l := &lostNode{proxy: newProxy(t, url), direct: &process{url: url, environ: []string{"NATS_URL=" + url}}}
	l.environ = []string{
		"ORDERLY_ACK_WAIT=1s", "ORDERLY_DRAIN_TIMEOUT=" + drain, "ORDERLY_HTTP_ADDR=127.0.0.1:0", "ORDERLY_UNKNOWN_AGE=1s",
		"ORDERLY_PLAN=" + write(t, "plan.yaml", "name: slow\nversion: 1\nsteps: [{name: wait, do: nats://slow.do, timeout: 1m}]"),
	}
	gate, called := make(chan struct{}), make(chan struct{}, 100)
	l.open = sync.OnceFunc(func() { close(gate) })
	nc := l.direct.connect(t)
	if _, err := nc.Subscribe("slow.do", func(m *nats.Msg) {
		called <- struct{}{}
		<-gate
		_ = m.Respond([]byte(`{"done": {}}`)) // the connection may be closed
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.open)
	l.spawned = spawn(t, append(l.environ, "NATS_URL="+l.proxy.url(), "ORDERLY_NODE_ID=node-1", "ORDERLY_DATA_DIR="+filepath.Join(t.TempDir(), "data")), "run")
	l.waitOutput(t, "plan  slow")
	l.direct.publish(t, sampleOrder("o-1"))
	select {
	case <-called:
	case <-time.After(natstest.Patience):
		t.Fatalf("the order is not in progress\n%s%s", &l.out, &l.err)
	}
	return l
}

// requireStopWithin checks that the node ends without an error within the limit.
func (l *lostNode) requireStopWithin(t *testing.T, limit time.Duration) {
	t.Helper()
	began := time.Now()
	select {
	case err := <-l.ended:
		took := time.Since(began)
		t.Logf("stopped after %s", took)
		if err != nil || took > limit {
			t.Errorf("it ended after %s, want %s at most: %v\n%s%s", took, limit, err, &l.out, &l.err)
		}
	case <-time.After(natstest.Patience):
		t.Fatalf("it did not end\n%s%s", &l.out, &l.err)
	}
}

// requireOrderCompletes checks that another node completes the order.
func (l *lostNode) requireOrderCompletes(t *testing.T) {
	t.Helper()
	start(t, nil, append(l.environ, "NATS_URL="+l.direct.url, "ORDERLY_NODE_ID=node-2", "ORDERLY_DRAIN_TIMEOUT=100ms")...)
	l.open()
	if v := l.direct.waitStatus(t, "o-1", "completed"); v.Events[len(v.Events)-1].Node != "node-2" {
		t.Errorf("got\n%s\nwant completed by node-2", v.summaries())
	}
}

var losses = map[string]func(*proxy){
	"away":                (*proxy).cut,
	"silent":              func(tn *proxy) { tn.mute() },
	"back without a word": func(tn *proxy) { tn.mute(); tn.drop() },
}

// TestStopWithoutNATS: the drain timeout bounds the stop also when NATS is gone or does not answer.
func TestStopWithoutNATS(t *testing.T) {
	t.Parallel()
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := startLostNode(t, "2s")
			lose(l.proxy)
			l.signal(t, syscall.SIGTERM)
			l.requireStopWithin(t, 12*time.Second)
			l.requireOrderCompletes(t)
		})
	}
}

// TestSecondSignalWithoutNATS: a second signal ends the node at once, with any drain timeout.
func TestSecondSignalWithoutNATS(t *testing.T) {
	t.Parallel()
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := startLostNode(t, "1m")
			lose(l.proxy)
			// Two equal signals may be delivered as one.
			l.signal(t, syscall.SIGTERM)
			l.signal(t, syscall.SIGINT)
			l.requireStopWithin(t, 12*time.Second)
			l.requireOrderCompletes(t)
		})
	}
}

// TestStopLeavesNothing: a node that stops without NATS leaves no goroutine, which goleak checks.
func TestStopLeavesNothing(t *testing.T) {
	t.Parallel()
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tn := newProxy(t, natstest.Start(t).ClientURL())
			p := start(t, nil, "NATS_URL="+tn.url())
			lose(tn)
			began := time.Now()
			p.stop()
			if code := p.wait(t); code != exitOK || time.Since(began) > 12*time.Second {
				t.Errorf("exit code %d after %s", code, time.Since(began))
			}
		})
	}
}

// TestStopWithBlockedWrite: a connection whose peer does not read, on which nats.go blocks for a minute, does not delay
// the stop.
func TestStopWithBlockedWrite(t *testing.T) {
	t.Parallel()
	tn := newProxy(t, natstest.Start(t).ClientURL())
	p := start(t, nil, "NATS_URL="+tn.url())
	tn.mute()
	item := fmt.Sprintf(`{"product_id":%q,"quantity":1,"unit_price":1}`, strings.Repeat("p", 220))
	items := strings.Repeat(item+",", 899) + item
	ctx, cancel := context.WithCancel(t.Context())
	var posting sync.WaitGroup
	defer http.DefaultClient.CloseIdleConnections()
	defer posting.Wait()
	defer cancel()
	for n := range 150 { // more than the system buffers
		posting.Go(func() {
			body := fmt.Sprintf(`{"order_id":"o-%d","customer_id":"c","currency":"EUR","items":[%s]}`, n, items)
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.http+"/v1/orders", strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			if a, err := http.DefaultClient.Do(r); err == nil {
				_ = a.Body.Close()
			}
		})
	}
	eventually(t, "a connection that takes nothing more", func() (bool, any) {
		soon, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(soon, http.MethodGet, p.http+"/health", nil)
		if err != nil {
			t.Fatal(err)
		}
		a, err := http.DefaultClient.Do(r)
		if err == nil {
			_ = a.Body.Close()
		}
		return err != nil, p.err
	})
	began := time.Now()
	p.stop()
	if code := p.wait(t); code != exitOK || time.Since(began) > 15*time.Second {
		t.Errorf("exit code %d after %s", code, time.Since(began))
	}
}

// TestStopWhileStarting: a node that is still trying one unresponsive server after the other stops at once.
func TestStopWhileStarting(t *testing.T) {
	t.Parallel()
	url := natstest.Start(t).ClientURL()
	var tunnels []*proxy
	var urls []string
	for range 6 { // five seconds each
		tn := newProxy(t, url)
		tn.mute()
		tunnels, urls = append(tunnels, tn), append(urls, tn.url())
	}
	p := startNoWait(t, nil, "NATS_URL="+strings.Join(urls, ","), "ORDERLY_DRAIN_TIMEOUT=1m")
	eventually(t, "a connection", func() (bool, any) { return slices.ContainsFunc(tunnels, (*proxy).used), p.err })
	began := time.Now()
	p.stop()
	if code := p.wait(t); code != exitOK || time.Since(began) > 12*time.Second {
		t.Errorf("exit code %d after %s", code, time.Since(began))
	}
}

// TestPublishWithoutNATS: the response says that nothing was stored, and why.
func TestPublishWithoutNATS(t *testing.T) {
	t.Parallel()
	tn := newProxy(t, natstest.Start(t).ClientURL())
	p := start(t, nil, "NATS_URL="+tn.url())
	tn.cut()
	eventually(t, "a node that knows", func() (bool, any) { return status(t, p.http+"/health") == 503, p.err })
	got := p.post(t, "/v1/orders", sampleOrder("o-1"))
	if got.code != 503 || !strings.Contains(got.body, "order o-1: nothing was stored: NATS is unavailable") || strings.Contains(got.body, "nats:") {
		t.Errorf("answered %d: %s", got.code, got.body)
	}
	if got := p.request(t, "GET", "/v1/orders/o-1", ""); got.code != 503 || !strings.Contains(got.body, "NATS is unreachable: not sent") {
		t.Errorf("answered %d: %s", got.code, got.body)
	}
}

// TestThirdSignal: the third signal kills the process.
func TestThirdSignal(t *testing.T) {
	t.Parallel()
	s := spawn(t, nil, ignoreSignals)
	s.waitOutput(t, "begun\n")
	s.signal(t, syscall.SIGTERM)
	s.waitOutput(t, "stop\n")
	s.signal(t, syscall.SIGINT)
	s.waitOutput(t, "abort\n")
	eventually(t, "the end", func() (bool, any) {
		_ = s.Process.Signal(syscall.SIGTERM) // a signal that arrives while the handler is removed is lost
		select {
		case err := <-s.ended:
			var exit *exec.ExitError
			if !errors.As(err, &exit) || !exit.Sys().(syscall.WaitStatus).Signaled() {
				t.Errorf("it ends with %v: want it killed by the signal", err)
			}
			return true, nil
		default:
			return false, s.err.String()
		}
	})
}
