package hostile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderly-engine/orderly/messages/natstest"
)

// harness is one node and the test's connections to it.
type harness struct {
	*testing.T
	dir  string
	url  string
	node *process
	// environ is what the node was started with.
	environ []string
	// js is the connection that sends the input; observer publishes well-behaved orders and watches them.
	js       jetstream.JetStream
	observer *nats.Conn
	service  *service
}

// plan has one simulated step, and one of the test's service.
const plan = `name: hostile
version: 1
steps:
  - {name: reserve, do: "sim:", undo: "sim:"}
  - {name: pay, do: "nats://hostile.pay", timeout: 10s}
`

func newHarness(t *testing.T, environ []string) *harness {
	t.Helper()
	addr := natstest.FreeAddr(t)
	h := &harness{T: t, dir: t.TempDir(), url: "nats://" + addr}
	file := filepath.Join(h.dir, "plan.yaml")
	if err := os.WriteFile(file, []byte(plan), 0o600); err != nil {
		t.Fatal(err)
	}
	h.environ = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + h.dir, "ORDERLY_DATA_DIR=" + filepath.Join(h.dir, "data"), "ORDERLY_NATS_ADDR=" + addr,
		"ORDERLY_PLAN=" + file, "ORDERLY_DURABILITY=relaxed", "ORDERLY_LOG_LEVEL=warn", "ORDERLY_UNKNOWN_AGE=5s",
	}, environ...)
	h.start()
	h.js = natstest.JetStream(t, natstest.Connect(t, h.url))
	h.observer = natstest.Connect(t, h.url)
	h.service = startService(t, natstest.Connect(t, h.url))
	return h
}

// start starts the node, with more or other variables, and waits until it is ready.
func (h *harness) start(environ ...string) {
	h.Helper()
	h.node = startProcess(h.T, filepath.Join(h.dir, "node.log"), append(h.environ[:len(h.environ):len(h.environ)], environ...))
	h.node.ready()
}

const (
	// waiting is the prefix of the ids of orders whose payment is pending until its signal comes.
	waiting = "waiting-"
	// slow is that of orders whose payment takes slowPayment.
	slow        = "slow-"
	slowPayment = 3 * time.Second
)

// service answers the calls of the step pay.
type service struct {
	nc  *nats.Conn
	sub *nats.Subscription

	mu sync.Mutex
	// calls counts the calls of orders whose payment is pending, by id.
	calls map[string]int
}

func startService(t *testing.T, nc *nats.Conn) *service {
	t.Helper()
	s := &service{nc: nc, calls: map[string]int{}}
	s.serve(t)
	return s
}

// leave stops answering calls, until serve.
func (s *service) leave(t *testing.T) {
	t.Helper()
	if err := errors.Join(s.sub.Unsubscribe(), s.nc.Flush()); err != nil {
		t.Fatal(err)
	}
}

// serve answers calls.
func (s *service) serve(t *testing.T) {
	t.Helper()
	var err error
	s.sub, err = s.nc.Subscribe("hostile.pay", func(m *nats.Msg) {
		id, _, _ := strings.Cut(m.Header.Get("Idempotency-Key"), "/")
		if strings.HasPrefix(id, slow) {
			time.AfterFunc(slowPayment, func() { _ = m.Respond([]byte(`{"done": {}}`)) })
			return
		}
		answer := `{"done": {}}`
		if strings.HasPrefix(id, waiting) {
			s.mu.Lock()
			s.calls[id]++
			s.mu.Unlock()
			answer = `{"pending": {"signal": "paid"}}`
		}
		if err := m.Respond([]byte(answer)); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

// callsOf is how often the payment of the order was called.
func (s *service) callsOf(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[id]
}
