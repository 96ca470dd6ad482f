package cli

import (
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/demo"
	"github.com/orderly-engine/orderly/node/server/embedded"
)

// TestRunDemo: the output of orderly run --demo.
func TestRunDemo(t *testing.T) {
	p := demoNode(t, "ORDERLY_DEMO_ORDERS=20")
	eventually(t, "the end of the sample orders", func() (bool, any) {
		return strings.Contains(p.out.String(), "at the next start"), p.out
	})
	p.stop()
	if code := p.wait(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if !regexp.MustCompile(`^orderly dev, node node-1
  NATS  nats://127\.0\.0\.1:\d+ \(embedded, relaxed, store in \S+\)
  HTTP  http://127\.0\.0\.1:\d+
  plan  order v1: reserve_inventory, authorize_payment, create_shipment, capture_payment
  demo  inventory, payments, shipping; 20 sample orders published

20 sample orders ended in [0-9.]+ s: 18 completed, 2 rejected

in a second terminal, try
  bin/orderly get \w{8}-0001
  bin/orderly publish -n 1000 --wait
  bin/orderly verify
Ctrl-C stops the node; unfinished orders continue at the next start
stopped
$`).MatchString(p.out.String()) {
		t.Errorf("got\n%s", p.out)
	}
}

// TestRunAgain: after a restart on the same store a node completes the orders it left.
func TestRunAgain(t *testing.T) {
	t.Parallel()
	first := start(t, nil, "ORDERLY_DURABILITY=strict", "ORDERLY_ACK_WAIT=1s")
	first.publish(t, samples("o-1", "o-2")) // no service performs the steps
	eventually(t, "an order that was taken up", func() (bool, any) {
		got := command(t, first.environ, "", "get", "o-1", "-o", "json")
		return strings.Contains(got.out, `"accepted"`), got.out + got.err
	})
	first.stop()
	if code := first.wait(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	second := demoNode(t, "ORDERLY_DATA_DIR="+first.dir, "ORDERLY_NODE_ID=node-2", "ORDERLY_DURABILITY=strict", "ORDERLY_ACK_WAIT=1s")
	for _, id := range []string{"o-1", "o-2"} {
		v := second.waitStatus(t, id, "completed")
		if last := v.Events[len(v.Events)-1]; last.Node != "node-2" {
			t.Errorf("order %s was ended by %s", id, last.Node)
		}
	}
	want := report{}
	want.Orders.Accepted, want.Orders.Completed = 2, 2
	want.Inbox.EverStored, want.Inbox.Accepted = 2, 2
	second.requireBalanced(t, want)
}

// TestStopFinishesRunningOrders: a graceful stop completes a slow order.
func TestStopFinishesRunningOrders(t *testing.T) {
	t.Parallel()
	p, open := startWithBlockedStep(t, "ORDERLY_DRAIN_TIMEOUT=1m")
	services(t, p, demo.Behaviors{})
	p.publish(t, sampleOrder("o-1"))
	p.waitStatus(t, "o-1", "running")
	p.stop()
	eventually(t, "a node that accepts no more orders", func() (bool, any) { return status(t, p.http+"/readyz") == 503, p.err })
	select {
	case code := <-p.ended:
		p.ended <- code
		t.Fatalf("the node ended with exit code %d, and an order was in progress", code)
	case <-time.After(time.Second): // it waits
	}
	open()
	if code := p.wait(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	again := start(t, nil, "ORDERLY_DATA_DIR="+p.dir, "ORDERLY_NODE_ID=node-2")
	v := again.get(t, "o-1")
	if v.Status != "completed" || v.Events[len(v.Events)-1].Node != "node-1" {
		t.Errorf("got\n%s\nwant completed by node-1", v.summaries())
	}
}

// TestSecondSignal: the first signal starts the drain, which waits for a running order; the second ends it at once.
func TestSecondSignal(t *testing.T) {
	p, _ := startWithBlockedStep(t, "ORDERLY_DRAIN_TIMEOUT=1m")
	services(t, p, demo.Behaviors{})
	p.publish(t, sampleOrder("o-1"))
	p.waitStatus(t, "o-1", "running")
	signal := func() {
		t.Helper()
		if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	signal()
	eventually(t, "a node that accepts no more orders", func() (bool, any) { return status(t, p.http+"/readyz") == 503, p.err })
	began := time.Now()
	signal()
	if code := p.wait(t); code != exitOK || time.Since(began) > 12*time.Second {
		t.Errorf("exit code %d after %s", code, time.Since(began))
	}
}

// requireStartFailure starts a node that cannot run, and checks that it ends with one line per problem; goleak checks that nothing
// keeps running.
func requireStartFailure(t *testing.T, want string, args []string, environ ...string) {
	t.Helper()
	p := startNoWait(t, args, environ...)
	code := p.wait(t)
	stderr := p.err.String()
	message := stderr[max(0, strings.Index(stderr, "orderly: ")):]
	for line := range strings.Lines(message) {
		if !strings.HasPrefix(line, "orderly: ") {
			t.Errorf("the error is not the last line:\n%s", stderr)
		}
	}
	if code != exitFailed || !strings.Contains(message, want) {
		t.Errorf("exit code %d\n%s%s\nwant exit code 1 and\n%s", code, p.out, stderr, want)
	}
}

func occupiedAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

func TestPortInUse(t *testing.T) {
	addr := occupiedAddr(t)
	requireStartFailure(t, "address "+addr+" is in use: stop the program that listens there, or set ORDERLY_NATS_ADDR to another address", nil, "ORDERLY_NATS_ADDR="+addr)
	requireStartFailure(t, "cannot listen on "+addr+": stop the program that listens there, or set ORDERLY_HTTP_ADDR to another address", nil, "ORDERLY_HTTP_ADDR="+addr)
}

// TestHTTPIsGuarded: a node does not serve everybody without a promise, and answers under its names only.
func TestHTTPIsGuarded(t *testing.T) {
	requireStartFailure(t, `ORDERLY_HTTP_ADDR="0.0.0.0:0" is beyond the loopback`, nil, "ORDERLY_HTTP_ADDR=0.0.0.0:0")
	p := start(t, nil, "ORDERLY_HTTP_ADDR=0.0.0.0:0", "ORDERLY_HTTP_INSECURE=true", "ORDERLY_HTTP_HOST_NAMES=orders.example")
	_, port, err := net.SplitHostPort(strings.TrimPrefix(p.http, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	for host, status := range map[string]int{"orders.example": 200, "localhost:" + port: 200, "evil.example": 421} {
		for _, path := range []string{"/livez", "/metrics"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+port+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = host
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			if answer.StatusCode != status {
				t.Errorf("%s for host %s: %d, want %d", path, host, answer.StatusCode, status)
			}
		}
	}
}

func TestDataDirectory(t *testing.T) {
	p := start(t, nil)
	requireStartFailure(t, "data directory in use: "+p.dir+" is held by process ", nil, "ORDERLY_DATA_DIR="+p.dir)
	requireStartFailure(t, "set ORDERLY_DATA_DIR to a directory on a local disk that this user may write", nil, "ORDERLY_DATA_DIR="+write(t, "file", "")+"/data")
}

func TestWrongPlan(t *testing.T) {
	for name, c := range map[string]struct{ plan, want string }{
		"not YAML":       {"steps: [", "line 1"},
		"unknown field":  {"name: x\nversion: 1\nsteps: [{name: a, do: 'sim:', tries: 3}]", `line 3: step a: field "tries" is unknown: want name, do, undo`},
		"no steps":       {"name: x\nversion: 1", "steps"},
		"unknown scheme": {"name: x\nversion: 1\nsteps: [{name: a, do: 'ftp://x'}]", "step a: do: target has an unknown scheme: want nats://"},
		"no unit":        {"name: x\nversion: 1\nsteps: [{name: a, do: 'sim:', timeout: 2}]", `"2" is not a duration such as 100ms`},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, "plan.yaml", c.plan)
			requireStartFailure(t, c.want, nil, "ORDERLY_PLAN="+path)
		})
	}
	requireStartFailure(t, "ORDERLY_PLAN: open plan file: ", nil, "ORDERLY_PLAN="+filepath.Join(t.TempDir(), "missing.yaml"))
}

// TestStreamConfigMismatch: a stream with another configuration is not changed; the node names the differences and stops.
func TestStreamConfigMismatch(t *testing.T) {
	url := natstest.Start(t).ClientURL()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js := natstest.JetStream(t, nc)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"ORDER.*"}, MaxConsumers: 7}); err != nil {
		t.Fatal(err)
	}
	requireStartFailure(t, "stream ORDERS has another configuration (retention: want WorkQueue, found Limits; ", nil, "NATS_URL="+url)
	requireStartFailure(t, "max_consumers: want -1, found 7; ", nil, "NATS_URL="+url)
	s, err := js.Stream(t.Context(), "ORDERS")
	if err != nil || s.CachedInfo().Config.MaxConsumers != 7 {
		t.Errorf("the stream was changed: %v", err)
	}
}

// TestAckWaitDiffersBetweenNodes: a setting that all nodes must share is compared.
func TestAckWaitDiffersBetweenNodes(t *testing.T) {
	p := start(t, nil)
	requireStartFailure(t, "ack_wait: want 1s, found 5s", nil, "NATS_URL="+p.url, "ORDERLY_ACK_WAIT=1s")
}

// TestDemoRunsOnce: a second process with demo services on one NATS is refused.
func TestDemoRunsOnce(t *testing.T) {
	p := demoNode(t)
	requireStartFailure(t, "demo services run already on this NATS: start them in one process only; run this node without --demo", []string{"--demo"}, "NATS_URL="+p.url)
}

// TestStartBeforeNATS: a node waits for its NATS servers, alive and not ready, and becomes ready without a restart.
func TestStartBeforeNATS(t *testing.T) {
	t.Parallel()
	natsAddr, httpAddr := natstest.FreeAddr(t), natstest.FreeAddr(t)
	p := startNoWait(t, nil, "NATS_URL=nats://"+natsAddr, "ORDERLY_HTTP_ADDR="+httpAddr)
	environ := []string{"ORDERLY_HTTP_ADDR=" + httpAddr}
	eventually(t, "a node that is alive", func() (bool, any) { return status(t, "http://"+httpAddr+"/livez") == 200, p.err })
	for path, want := range map[string]int{"/health": 503, "/readyz": 503, "/livez": 200, "/metrics": 200} {
		if got := status(t, "http://"+httpAddr+path); got != want {
			t.Errorf("%s is %d: want %d", path, got, want)
		}
	}
	requireFailure(t, command(t, environ, "", "health"), exitFailed, "is not healthy: 503")
	s, err := embedded.Start(embedded.Config{DataDir: t.TempDir(), Addr: natsAddr, Relaxed: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	eventually(t, "a node that is ready", func() (bool, any) { return status(t, "http://"+httpAddr+"/readyz") == 200, p.err })
	ok(t, environ, "health")
	if !strings.Contains(p.err.String(), "cannot reach NATS, retrying") {
		t.Errorf("the wait is not logged:\n%s", p.err)
	}
	p.stop()
	p.wait(t)
}

// TestHTTPServerDies: a node whose HTTP listener fails stops with an error, so that its supervisor restarts it.
func TestHTTPServerDies(t *testing.T) {
	p := start(t, nil)
	shutDownListener(t, strings.TrimPrefix(p.http, "http://"))
	if code := p.wait(t); code != exitFailed || !strings.Contains(p.err.String(), "\norderly: the HTTP server failed: accept tcp ") {
		t.Errorf("exit code %d\n%s%s", code, p.out, p.err)
	}
}

// shutDownListener makes the accept calls of this process on a listener fail.
func shutDownListener(t *testing.T, addr string) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("needs /proc")
	}
	for _, f := range fds {
		fd, err := strconv.Atoi(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		if listens, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN); err != nil || listens == 0 {
			continue
		}
		local, err := syscall.Getsockname(fd)
		if ip4, ok := local.(*syscall.SockaddrInet4); err == nil && ok && netip.AddrPortFrom(netip.AddrFrom4(ip4.Addr), uint16(ip4.Port)).String() == addr {
			if err := syscall.Shutdown(fd, syscall.SHUT_RDWR); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no socket of this process listens on %s", addr)
}

// status is that of a GET, or 0 without an answer.
func status(t *testing.T, url string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer answer.Body.Close()
	return answer.StatusCode
}

// TestTwoNodes: two nodes share the orders of one NATS, and one continues when the other stops.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	first := start(t, nil)
	s := services(t, first, demo.Behaviors{})
	second := start(t, nil, "NATS_URL="+first.url, "ORDERLY_NODE_ID=node-2")
	if !strings.Contains(second.out.String(), "  NATS  connected to nats://127.0.0.1:") {
		t.Errorf("got\n%s", second.out)
	}
	out := ok(t, first.environ, "publish", "-n", "200", "--wait", "-o", "json")
	if sum := decode[summary](t, out); sum.Ended["completed"]+sum.Ended["rejected"] != 200 {
		t.Errorf("got %s", out)
	}
	second.stop()
	if code := second.wait(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if out := ok(t, first.environ, "publish", "-n", "50", "--wait"); !strings.HasPrefix(out, "50 orders stored, 50 ended") {
		t.Errorf("got\n%s", out)
	}
	if stats := s.Stats(); len(stats.Twice) > 0 {
		t.Errorf("done twice: %v", stats.Twice)
	}
}
