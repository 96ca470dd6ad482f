package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/orderly-engine/orderly/messages/natstest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	child()
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "OTEL_") {
			_ = os.Unsetenv(name) // tests set what they need
		}
	}
	goleak.VerifyTestMain(m, natstest.IgnoreServerGoroutines()...)
}

// eventually polls until the condition holds. The last state that it returned is logged if the test fails.
func eventually(t *testing.T, what string, holds func() (ok bool, state any)) {
	t.Helper()
	var state any
	defer func() {
		if t.Failed() {
			t.Logf("state:\n%v", state)
		}
	}()
	natstest.Eventually(t, what, func() (ok bool) {
		ok, state = holds()
		return ok
	})
}

// syncBuffer collects the output of a command; it can be read concurrently.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// result is the result of a command.
type result struct {
	code     int
	out, err string
}

// command runs the command line in process.
func command(t *testing.T, environ []string, stdin string, args ...string) result {
	t.Helper()
	var out, errs syncBuffer
	code := execute(t.Context(), args, terminal{in: strings.NewReader(stdin), out: &out, err: &errs, environ: environ})
	return result{code: code, out: out.String(), err: errs.String()}
}

// ok is command for one that must succeed.
func ok(t *testing.T, environ []string, args ...string) string {
	t.Helper()
	p := command(t, environ, "", args...)
	if p.code != exitOK {
		t.Fatalf("orderly %s: exit code %d\n%s%s", strings.Join(args, " "), p.code, p.out, p.err)
	}
	return p.out
}

// decode decodes the output of -o json.
func decode[T any](t *testing.T, out string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, out)
	}
	return v
}

// process is a node that runs in this process.
type process struct {
	// url and http are where it listens; environ is what its clients need.
	url, http string
	environ   []string
	dir       string
	out, err  *syncBuffer
	stop      context.CancelFunc
	ended     chan int
}

var announced = regexp.MustCompile(`(?m)^  (NATS|HTTP) +(?:connected to )?(\S+)`)

// startNoWait starts "orderly run" on free ports and does not wait for it.
func startNoWait(t *testing.T, args []string, environ ...string) *process {
	t.Helper()
	p := &process{out: &syncBuffer{}, err: &syncBuffer{}, dir: filepath.Join(t.TempDir(), "data"), ended: make(chan int, 1)}
	environ = append([]string{
		"ORDERLY_DATA_DIR=" + p.dir, "ORDERLY_NATS_ADDR=127.0.0.1:0", "ORDERLY_HTTP_ADDR=127.0.0.1:0", "ORDERLY_NODE_ID=node-1",
		"ORDERLY_DURABILITY=relaxed", "ORDERLY_UNKNOWN_AGE=1s", "ORDERLY_DRAIN_TIMEOUT=100ms", "ORDERLY_DEMO_ORDERS=0", "ORDERLY_DEMO_LATENCY=0s",
		"ORDERLY_DEMO_FAIL_RATE=0", "ORDERLY_DEMO_REJECT_RATE=0",
	}, environ...)
	var ctx context.Context
	ctx, p.stop = context.WithCancel(context.Background())
	go func() {
		p.ended <- execute(ctx, append([]string{"run"}, args...), terminal{out: p.out, err: p.err, environ: environ})
	}()
	t.Cleanup(func() {
		p.stop()
		select {
		case code := <-p.ended:
			p.ended <- code
		case <-time.After(natstest.Patience):
			t.Errorf("the node did not stop\n%s%s", p.out, p.err)
		}
		if t.Failed() {
			t.Logf("output of the node:\n%s%s", p.out, p.err)
		}
	})
	return p
}

// start starts a node and waits until it takes orders. Later settings win.
func start(t *testing.T, args []string, environ ...string) *process {
	t.Helper()
	p := startNoWait(t, args, environ...)
	eventually(t, "the start of the node", func() (bool, any) {
		select {
		case code := <-p.ended:
			p.ended <- code
			t.Fatalf("the node ended with exit code %d\n%s%s", code, p.out, p.err)
		default:
		}
		for _, m := range announced.FindAllStringSubmatch(p.out.String(), -1) {
			switch m[1] {
			case "NATS":
				p.url = m[2]
			case "HTTP":
				p.http = m[2]
			}
		}
		return p.http != "" && strings.Contains(p.out.String(), "plan"), p.out
	})
	p.environ = []string{"NATS_URL=" + p.url}
	return p
}

// demo is start with the demo services.
func demoNode(t *testing.T, environ ...string) *process {
	t.Helper()
	return start(t, []string{"--demo"}, environ...)
}

// wait returns the exit code of a node that ends by itself.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case code := <-p.ended:
		p.ended <- code
		return code
	case <-time.After(natstest.Patience):
		t.Fatalf("the node still runs\n%s%s", p.out, p.err)
		return -1
	}
}

// connect returns a plain connection to the node's NATS.
func (p *process) connect(t *testing.T) *nats.Conn {
	t.Helper()
	return natstest.Connect(t, p.url)
}

// connection is that of a command.
func (p *process) connection(t *testing.T) *connection {
	t.Helper()
	nc := p.connect(t)
	return &connection{nc: nc, js: natstest.JetStream(t, nc)}
}

func (p *process) jetStream(t *testing.T) jetstream.JetStream {
	t.Helper()
	return natstest.JetStream(t, p.connect(t))
}

// write puts a file into the test's directory and returns its path.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// view is the part of "get -o json" that tests check.
type view struct {
	OrderID   string `json:"order_id"`
	Status    string `json:"status"`
	Reason    string `json:"reason"`
	WaitsFor  string `json:"waits_for"`
	LastError string `json:"last_error"`
	TraceID   string `json:"trace_id"`
	Events    []struct {
		Number      int             `json:"number"`
		Kind        string          `json:"kind"`
		Summary     string          `json:"summary"`
		Node        string          `json:"node"`
		Detail      json.RawMessage `json:"detail"`
		Traceparent string          `json:"traceparent"`
	} `json:"events"`
}

// kinds are the events in one line.
func (v view) kinds() string {
	var all []string
	for _, e := range v.Events {
		all = append(all, e.Kind)
	}
	return strings.Join(all, " ")
}

// summaries is the summaries of the events without durations.
func (v view) summaries() string {
	var all []string
	for _, e := range v.Events {
		all = append(all, regexp.MustCompile(`(; again)? in [0-9.µm]+s`).ReplaceAllString(e.Summary, ""))
	}
	return strings.Join(all, "\n")
}

func (p *process) get(t *testing.T, id string) view {
	t.Helper()
	return decode[view](t, ok(t, p.environ, "get", id, "-o", "json"))
}

// waitStatus waits until an order has the status.
func (p *process) waitStatus(t *testing.T, id, status string) view {
	t.Helper()
	var v view
	eventually(t, fmt.Sprintf("status %s of order %s", status, id), func() (bool, any) {
		got := command(t, p.environ, "", "get", id, "-o", "json")
		if got.code == exitOK {
			v = decode[view](t, got.out)
		}
		return v.Status == status, got.out + got.err
	})
	return v
}

// sampleOrder is a valid order.
func sampleOrder(id string) string {
	return fmt.Sprintf(`{"order_id":%q,"customer_id":"c-7","items":[{"product_id":"sku-1","quantity":2,"unit_price":9.5}],"total_amount":19,"currency":"EUR"}`, id)
}

// document returns the text of a file in docs, whose tables tests compare with the code.
func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
